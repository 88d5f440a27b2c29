"""`python -m benchmarks`: the harness; beside it, studies that run by name."""
