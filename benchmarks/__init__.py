"""Benchmarks: this library and its peers on equal work, in one run."""
