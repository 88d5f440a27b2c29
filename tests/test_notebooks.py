"""Each page of the course is a notebook too, as MyST-NB makes it when the site is built."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat: jaxmlp[docs]")
pytest.importorskip("myst_nb", reason="needs myst-nb: jaxmlp[docs]")

COURSE = Path(__file__).parents[1] / "docs" / "course"
PAGES = sorted(COURSE.glob("*/*.md"))
CELL = re.compile(r"^```{code-cell}\n(?:---\n.*?^---\n|(?::[^\n]*\n)+)?(.*?)\n```$", re.M | re.S)


def convert(page):
    """The page as MyST-NB reads it, before it runs the cells."""
    from myst_nb.core.read import read_myst_markdown_notebook
    from myst_parser.config.main import MdParserConfig

    return read_myst_markdown_notebook(page.read_text(encoding="utf-8"), MdParserConfig())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_page_is_a_valid_notebook_whose_cells_are_the_page_s(page):
    notebook = convert(page)
    nbformat.validate(nbformat.reads(nbformat.writes(notebook), as_version=4))
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    cells = CELL.findall(page.read_text(encoding="utf-8"))
    assert code == [cell.strip("\n") for cell in cells]
    assert code
