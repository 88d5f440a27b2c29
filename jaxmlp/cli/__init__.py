"""The command line: `jaxmlp train`, `jaxmlp predict` and their like."""
