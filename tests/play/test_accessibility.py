"""What axe-core finds on the page in a real Chromium: nothing, in any of its states.

axe-core (MPL-2.0) is fetched and never kept here: JAXMLP_AXE names its axe.min.js.
"""

import json
import os
from pathlib import Path

import pytest
from chromium import FOUND, Chromium
from played import open_page, serve_page

pytest.importorskip("uvicorn", reason="needs uvicorn")
AXE = Path(os.environ.get("JAXMLP_AXE") or "axe.min.js")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOUND is None, reason="needs Chromium or Chrome on the PATH"),
    pytest.mark.skipif(os.name != "posix", reason="a browser is driven through pipes of POSIX"),
    pytest.mark.skipif(not AXE.is_file(), reason="JAXMLP_AXE names no axe.min.js of axe-core"),
]

RUN_AXE = """
await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
const found = await axe.run(document, {resultTypes: ['violations']});
return found.violations.map(({id, impact, help, nodes}) => ({id, impact, help,
  nodes: nodes.slice(0, 4).map((node) => [node.html.slice(0, 200), node.failureSummary])}));
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_page(tmp_path_factory.mktemp("play")) as address:
        yield address


@pytest.fixture(params=[False, True], ids=["light", "dark"])
def page(request, address, tmp_path):
    page = Chromium(tmp_path, dark=request.param)
    try:
        open_page(page, address)
        page.send("Runtime.evaluate", expression=AXE.read_text(encoding="utf-8"))
        yield page
    finally:
        page.close()


CHOOSE = """
const node = [...document.querySelectorAll('select')].find((one) =>
  [...one.options].some((option) => option.value === '%s'));
set(node, '%s');
"""
DROP = """
const files = new DataTransfer(), rows = ['age,income,town,paid'];
for (let k = 0; k < 60; k++) rows.push([20 + k, 60 * k, 'AB'[k %% 2], k < 30 ? 'no' : 'yes']);
files.items.add(new File([rows.join('\\n')], '%s'));
document.dispatchEvent(new DragEvent('drop', {dataTransfer: files, cancelable: true}));
"""
MORE = "document.querySelectorAll('.more .row button')[%d].click()"
WALK = "[...document.querySelectorAll('#walk .fields button')].at(-1).click()"
STATES = {
    "as it opens": ("", "true"),
    "the forward pass by hand": (WALK, "document.querySelector('#walk .stage')"),
    "an equation by hand": (
        "document.querySelectorAll('#walk .path button')[5].click()",
        "document.querySelectorAll('#walk figure').length === 2",
    ),
    "the update by hand": (
        "[...document.querySelectorAll('#walk .path button')].at(-1).click()",
        "document.querySelectorAll('#walk figure').length > 0",
    ),
    "the forward pass after it": (
        "document.querySelector('#walk .main').click()",
        "document.querySelectorAll('#walk .path button').length > 16",
    ),
    "the gradients": (
        "document.querySelector('.row [aria-pressed]').click()", "shown('.detail').includes('∂J')"
    ),
    "a unit": ("document.querySelector('.unit').click()", "!shown('.detail').includes('∂J/∂w')"),
    "the doctor": (
        f"{CHOOSE % ('zeros', 'zeros')}; {MORE % 0}", "document.querySelector('.findings .cure')"
    ),
    "the script": (MORE % 1, "document.querySelector('.script')"),
    "a saved run": (MORE % 2, "document.querySelector('.answer pre:not(.script)')"),
    "two networks": (
        "document.querySelector('#compare').click()",
        "document.querySelectorAll('.network').length === 2",
    ),
    "which of two by hand": (WALK, "document.querySelector('#walk .stage')"),
    "points": (CHOOSE % ("xor", "drawn"), "document.querySelector('#data_more .row')"),
    "digits": (CHOOSE % ("xor", "digits"), "shown('.columns').includes('64')"),
    "a digit by hand": (WALK, "document.querySelector('.pixels')"),
    "a table": (DROP % "towns.csv", "shown('#data_more').includes('towns.csv')"),
    "a refusal": (DROP % "towns.exe", "document.querySelector('#said.bad')"),
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "vi"])
def test_axe_finds_nothing_in_any_state(page, language):
    page.run(f"choose('#language', '{language}')")
    page.wait(f"document.documentElement.lang === '{language}'")
    found = {}
    for name, (script, reached) in STATES.items():
        page.run(script)
        page.wait(reached, 120)
        for width in (400, 1400):
            page.size(width, 1000)
            found[f"{name}, {width} pixels wide"] = page.run(RUN_AXE)
    found = {name: violations for name, violations in found.items() if violations}
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)
