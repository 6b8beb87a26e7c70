"""What ``benchmarks.step`` compares: the product's phase-1 step and a plain one."""
