"""What the site needs of Sphinx: formulas without JavaScript, plain docstrings, notebooks."""

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx

import jaxmlp

FIELD = type(jaxmlp.Layer.W)
SECTIONS = ("Args:", "Keys:", "Raises:", "Yields:", "Attributes:", "Example:", "Examples:")
LEAD = re.compile(r"^(Differences|Reference|References|Source): ")
OFFERS = {
    "en": ("This page as a notebook, with what it shows: ", "; put beside it: ", "."),
    "vi": ("Trang này dưới dạng notebook, kèm kết quả: ", "; đặt bên cạnh nó: ", "."),
}
MARKS = re.compile(r"(`[^`]*`)|([*|]|(?<=\w)_(?=\W|$))")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register them."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (displayed_formula, None))
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # napoleon's is 500
    app.connect("autodoc-skip-member", skip_what_is_elsewhere)
    app.connect("doctree-read", offer_notebook, priority=400)  # downloads are collected at 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline_formula(translator: Any, node: nodes.math) -> None:
    """MathML is what browsers draw by themselves, so a page needs nothing from elsewhere."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed_formula(translator: Any, node: nodes.math_block) -> None:
    """As above, on a line of its own that scrolls where it is too wide."""
    formula = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="formula">{formula}</div>\n')
    raise nodes.SkipNode


def plain_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn the form of our docstrings into what napoleon reads.

    Nothing but `backquotes` is markup: |x| and a * b are formulas. What follows "Returns:" is a
    sentence, of which napoleon would take the first part for a type. "Differences: ..." may hang.
    """
    result, hanging, returns = [""], False, False
    for line in lines:
        above, indented = result[-1], line.startswith(" ")
        if not line.lstrip().startswith((">>>", "...", "*", "http")):
            line = MARKS.sub(lambda mark: mark[1] or "\\" + mark[2], line)
        if line.strip() == "Returns:":
            returns = True
            continue
        if returns and line.strip():
            line, returns = f":returns: {line.strip()}", False
        elif indented and above and not above.startswith((" ", ":returns:", *SECTIONS)):
            hanging = not above.endswith(":")
            result += [] if hanging else [""]
        elif above.startswith("  ") and line and not indented:
            result.append("")
        hanging = hanging and indented
        result.append(LEAD.sub(r"**\1:** ", line.lstrip() if hanging else line))
    lines[:] = result[1:]


def skip_what_is_elsewhere(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out of a package what is documented as a name of `jaxmlp` itself, and repetitions.

    Fields of NamedTuples are under Attributes already; scikit-learn documents what it generates.
    """
    if what == "module":
        above = callable(obj) and getattr(jaxmlp, name, None) is obj
        return True if above else None
    generated = getattr(obj, "__module__", None) or ""
    repeated = isinstance(obj, FIELD) or generated.startswith("sklearn.")
    return True if repeated else None


def offer_notebook(app: Sphinx, doctree: nodes.document) -> None:
    """Link each page of the course to its notebook, which MyST-NB has written while it ran."""
    page = app.env.docname
    notebook = Path(app.env.mystnb_config.output_folder, f"{page}.ipynb")
    if not page.startswith("course/") or not notebook.exists():
        return
    said, beside, end = OFFERS["vi" if page.startswith("course/vi/") else "en"]
    parts = [nodes.Text(said), download(app, notebook)]
    if "import pictures" in notebook.read_text(encoding="utf-8"):
        parts += [nodes.Text(beside), download(app, Path(app.srcdir, "pictures.py"))]
    offer = nodes.paragraph("", "", *parts, nodes.Text(end), classes=["notebook"])
    next(doctree.findall(nodes.title)).parent.insert(1, offer)


def download(app: Sphinx, path: Path) -> download_reference:
    """A link that downloads a file, wherever it is."""
    name = nodes.literal("", path.name, classes=["xref", "download"])
    return download_reference("", "", name, reftarget=f"/{os.path.relpath(path, app.srcdir)}")
