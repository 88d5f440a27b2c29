"""`python -m benchmarks` is `jaxmlp bench`; beside it, studies that run by name."""
