"""A page of the course says the same in each language: same blocks, same cells, same formulas."""

import re
from pathlib import Path

import pytest

COURSE = Path(__file__).parent.parent / "docs/course"
ENGLISH, VIETNAMESE = ({p.name for p in COURSE.glob(f"{code}/*.md")} for code in ("en", "vi"))
FENCE = re.compile(r"^(?P<ticks>```+|:::+)\{?(?P<name>[\w-]*)\}?.*?^(?P=ticks)$", re.M | re.S)
ONLY_IN_VIETNAMESE = re.compile("[ăđơưạ-ỹ]", re.I)

each_page = pytest.mark.parametrize("name", sorted(ENGLISH & VIETNAMESE))


def read(code, name):
    """Return the front matter, the fences and the rest of a page, a mark where each fence was."""
    _, front_matter, body = (COURSE / code / name).read_text("utf-8").split("---\n", 2)
    fences = [m.group() for m in FENCE.finditer(body)]
    return front_matter, fences, FENCE.sub(lambda m: f"\n\n```{m['name']}\n\n", body)


def chunks(prose):
    """Yield the kind of each block, and its text."""
    for text in re.split(r"\n\s*\n", prose.strip()):
        lines = text.strip().splitlines()
        if heading := re.match("#+ ", text):
            yield heading.group(), text
        elif text.startswith("|"):
            yield f"table {[line.count('|') for line in lines]}", text
        elif item := re.match(r"[-*] |\d+\. ", text):
            same = r"\d+\. " if item.group()[0].isdigit() else r"[-*] "
            yield f"list of {sum(bool(re.match(same, line)) for line in lines)}", text
        elif text.startswith("$$"):
            yield "formula", text
        elif text.startswith("```"):
            yield text, ""
        else:
            yield "paragraph", text


def formulas(prose):
    found = re.findall(r"\$\$.+?\$\$|\$.+?\$", prose, re.S)
    return {re.sub(r"\s+", " ", re.sub(r"\\text\{.*?\}", "", one)) for one in found}


@each_page
def test_the_blocks_are_the_same(name):
    (front, _, english), (vi_front, _, vietnamese) = read("en", name), read("vi", name)
    assert vi_front == front
    assert [kind for kind, _ in chunks(vietnamese)] == [kind for kind, _ in chunks(english)]


SPOKEN = ', language="vi"'  # an argument of what prints sentences
SPEAKERS = ("explain_backward", "check_gradients", "check_update_rule", "diagnose")


@each_page
def test_the_cells_are_the_same_to_the_byte_but_for_their_language(name):
    english, vietnamese = (
        [fence for fence in read(code, name)[1] if fence.startswith("```{code-cell}")]
        for code in ("en", "vi")
    )
    assert english
    assert [cell.replace(SPOKEN, "") for cell in vietnamese] == english
    calls = re.findall(rf"\b({'|'.join(SPEAKERS)})\(", "".join(english))
    assert sum(cell.count(SPOKEN) for cell in vietnamese) == len(calls)


@each_page
def test_formulas_and_links_are_the_same(name):
    english, vietnamese = read("en", name)[2], read("vi", name)[2]
    assert formulas(vietnamese) == formulas(english)
    links = r"\]\(([^)\s]+)\)"
    assert sorted(re.findall(links, vietnamese)) == sorted(re.findall(links, english))


@each_page
def test_the_prose_is_vietnamese(name):
    prose = [text for kind, text in chunks(read("vi", name)[2]) if kind == "paragraph"]
    assert sum(bool(ONLY_IN_VIETNAMESE.search(text)) for text in prose) > 0.9 * len(prose)


def test_every_page_is_in_both_languages():
    assert VIETNAMESE == ENGLISH
