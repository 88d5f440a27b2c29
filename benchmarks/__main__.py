"""`python -m benchmarks ...` is `jaxmlp bench ...`; the studies beside this file run by name."""

import sys

from jaxmlp.cli.main import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
