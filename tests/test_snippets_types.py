"""What the README and the docs show passes a strict user's mypy, a module a page."""

import doctest
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What pages name and do not make: the reader's own, and what a notebook brings.
GIVEN = {
    "README": "import numpy as np\nX = y = X_val = y_val = xv = yv = np.zeros(1)\n"
    "import jax.numpy as jnp\nd_logits = jnp.zeros(1)",
    "distributed": "from typing import Any\n"
    "def load_my_share(rank: int, count: int) -> tuple[Any, Any]:\n    return 0, 0",
    "interchange": "from typing import Any\nvariables: Any\nmlp: Any\nfitted_mlp_classifier: Any",
}
NOTEBOOK = "from IPython.display import display"
# Cells bind a name anew, and whether a reader annotates his own functions is his affair; what
# stands in them is checked all the same.
LENIENCE = [
    "--allow-redefinition", "--allow-untyped-defs", "--allow-incomplete-defs",
    "--allow-untyped-calls",
]  # fmt: skip
FENCE = re.compile(r"^```(?:\{code-cell\}|python)[^\n]*\n(.*?)^```", re.M | re.S)
OPTIONS = re.compile(r"\A(?:---\n.*?^---\n|(?:^:[^\n]*\n)+)", re.M | re.S)  # of a cell
SHELL = re.compile(r"^[!%].*\n", re.M)


def snippets(page: Path) -> str:
    """The Python of a page as a module; what follows a prompt counts, what it answers does not."""
    cells = []
    for cell in FENCE.findall(page.read_text()):
        code = SHELL.sub("", OPTIONS.sub("", cell))
        if ">>>" in code:
            code = "".join(example.source for example in doctest.DocTestParser().get_examples(code))
        cells.append(code)
    if not cells:
        return ""
    return "\n".join([GIVEN.get(page.stem, ""), NOTEBOOK, *cells])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed: jaxmlp[dev]")
def test_the_snippets_are_clean_for_a_strict_user(tmp_path):
    modules = {}
    for page in PAGES:
        if text := snippets(page):
            name = "_".join(page.relative_to(ROOT).with_suffix("").parts)
            modules[name] = text
            (tmp_path / f"{name}.py").write_text(text)
    assert len(modules) > 10
    command = [
        sys.executable, "-m", "mypy", "--strict", *LENIENCE, "--ignore-missing-imports",
        "--config-file=", "--python-version=3.11", "--no-error-summary",
        *sorted(f"{name}.py" for name in modules),
    ]  # fmt: skip
    environment = {**os.environ, "MYPYPATH": f"{ROOT}:{ROOT / 'docs'}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "", done.stdout
    assert done.returncode == 0, done.stderr
