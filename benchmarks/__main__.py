"""`python -m benchmarks ...`: one harness for this library and its peers."""

import sys

try:
    import typer

    import jaxmlp
    from benchmarks.command import bench
    from jaxmlp.cli.main import run
except ModuleNotFoundError as missing:
    if str(missing.name).startswith(("benchmarks.", "jaxmlp.")):
        raise  # a fault of ours
    sys.exit(
        f"error: the benchmarks find no module {missing.name!r}. Run python -m benchmarks at the "
        "root of the repository, after python -m pip install -e '.[bench]'."
    )

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(bench)

if __name__ == "__main__":
    jaxmlp.tune_cpu()  # for the peers' loops, too
    sys.exit(run(command=app))
