"""The Ray rooms: where steps run. Ray Tune hands them out, Ray Train or the trial runs them, Ray Data feeds them."""
