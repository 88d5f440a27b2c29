"""The exercises' own answers are wrong and told so, the solutions are right, in both languages."""

import re
from pathlib import Path
from typing import Any

import pytest

COURSE = Path(__file__).parents[1] / "docs" / "course"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.M | re.S)
CHAPTERS = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII"]


def cells(language: str, page: str) -> list[str]:
    return CELL.findall((COURSE / language / f"{page}.md").read_text())


def run(page: str) -> dict[str, bool]:
    """Run a page as one module; return the verdicts."""
    names: dict[str, Any] = {}
    for cell in cells("en", page):
        exec(cell, names)
    return names["passed"]


@pytest.mark.slow
def test_every_exercise_is_told_what_is_wrong(capsys):
    assert run("exercises") == dict.fromkeys(CHAPTERS, False)
    said = capsys.readouterr().out
    for words in (
        "sum instead of mean over the batch",  # I
        "AND: [0, 0, 0, 0], wanted [0, 0, 0, 1]",
        "outputs [0.0, 1.0, 1.0, 2.0]",
        "wrong from layers[0] on",  # IV
        "goes wrong first at dJ/db",
        "vanishing_gradient, layer 0",
        "update rule: FAIL at step 1",
        "4290 parameters trained, at most 130",
    ):
        assert words in said, words


@pytest.mark.slow
def test_every_solution_passes():
    assert run("solutions") == dict.fromkeys(CHAPTERS, True)


def test_the_second_slip_of_chapter_five_is_named_once_the_first_is_gone(capsys):
    setup, *rest = cells("en", "exercises")
    index = next(i for i, cell in enumerate(rest) if "def backward" in cell)
    names: dict[str, Any] = {}
    exec(setup, names)
    exec(rest[index].replace("np.zeros_like(b_o)", "d_o.sum(axis=0)"), names)
    exec(rest[index + 1], names)
    assert not names["passed"]["V"]
    assert "the activation's derivative is forgotten" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["exercises", "solutions"])
def test_both_languages_have_the_same_code(page):
    vietnamese = [cell.replace(', language="vi"', "") for cell in cells("vi", page)]
    assert cells("en", page) == vietnamese != []


def test_both_pages_have_the_same_checks():
    exercises, solutions = (
        [cell for cell in cells("en", page) if re.search(r"^verdict\(", cell, re.M)]
        for page in ("exercises", "solutions")
    )
    assert exercises == solutions
    assert len(exercises) == len(CHAPTERS)


def test_the_map_of_the_slides_runs_and_its_links_meet_headings():
    page = (COURSE / "slides.md").read_text()
    names: dict[str, Any] = {}
    for cell in CELL.findall(page):
        exec(cell, names)
    links = re.findall(r"\]\(((?:en|vi)/\w+\.md)?#([^)]+)\)", page)
    assert len(links) > 80
    for target, anchor in links:
        text = (COURSE / target).read_text() if target else page
        headings = re.findall(
            r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M
        )
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{target}#{anchor}"
