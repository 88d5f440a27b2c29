"""Packages that are missing, or cannot be imported; and what our own import leaves behind."""

import subprocess
import sys

import pytest

from jaxmlp.optional import import_optional


def test_a_package_that_is_broken_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("import no_such_dependency\n")
    (tmp_path / "broken_two.py").write_text("raise RuntimeError('parts do not fit')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="which cannot be imported: No module named"):
        import_optional("broken_one", "this needs it", "broken-one")
    with pytest.raises(ImportError, match="which cannot be imported: parts do not fit"):
        import_optional("broken_two", "this needs it", "broken-two")


@pytest.mark.parametrize("name", ["no_such_package", "no_such_package.part", "json.no_such_part"])
def test_a_missing_package_is_named_with_its_command(name):
    with pytest.raises(ImportError, match=r"not installed\. Install it with: pip install 'that'"):
        import_optional(name, "this needs it", "that")


@pytest.mark.parametrize("before", ["gc.enable()", "gc.disable()", "sys.modules['jax'] = None"])
def test_the_import_leaves_garbage_collection_as_it_was(before):
    code = f"""
import gc, sys
{before}
collects = gc.isenabled()
try:
    import jaxmlp
except ImportError:
    assert "jax" in "{before}"
assert gc.isenabled() == collects
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
