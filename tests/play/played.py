"""What the tests of the page share."""

import json
import os
import re
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HELPERS = """
window.named = (text) => [...document.querySelectorAll('button')].find((b) =>
  b.textContent === text || b.getAttribute('aria-label') === text);
window.field = (label) => [...document.querySelectorAll('label')].find((l) =>
  l.textContent.startsWith(label)).control;
window.set = (node, value) => { node.value = value;
  for (const kind of ['input', 'change']) node.dispatchEvent(new Event(kind)); };
window.put = (label, value) => set(field(label), value);
window.choose = (selector, value) => set(document.querySelector(selector), value);
window.shown = (selector) => document.querySelector(selector)?.textContent ?? '';
window.step = () => Number(shown('#count').replace(/\\D*([\\d,.]+).*/, '$1').replace(/[,.]/g, ''));
"""


def unpack_picture(packed: bytes):
    """Read what `pack_picture` packed."""
    (length,) = struct.unpack_from("<I", packed)
    head = json.loads(packed[4 : 4 + length])
    arrays = {
        name: np.frombuffer(packed, dtype, int(np.prod(shape)), 4 + length + offset).reshape(shape)
        for name, (dtype, shape, offset) in head["arrays"].items()
    }
    return head, arrays


@contextmanager
def serve_page(folder):
    """Run the command in a folder; its address, until it is told to end, which it does quietly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxmlp", "play", "--no-browser", "--out", str(folder / "runs")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    try:
        yield re.search(r"http://127\S+token=[\w-]+", process.stdout.readline())[0]
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def open_page(page, address):
    """Open the page in a browser, with the helpers that tests write scripts with."""
    page.open("about:blank")
    page.open(address)
    page.wait("document.querySelector('.scores td')", 60)
    page.run(HELPERS)
