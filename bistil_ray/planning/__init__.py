"""A run as a graph of steps: pure data, made from a configuration and the facts about its inputs."""
