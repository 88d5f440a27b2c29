"""`python -m jaxmlp` is the command `jaxmlp`."""

from jaxmlp.cli.main import main

if __name__ == "__main__":
    main()
