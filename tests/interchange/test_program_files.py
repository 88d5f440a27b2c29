"""The files that a program of numpy alone reads: in the dialects that commands read."""

import linecache
import runpy

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp import interchange
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import ReadingOptions, read_table
from jaxmlp.interchange.own_source import source_of
from jaxmlp.models import Model, infer, prepare

pytest.importorskip("pandas")


def network(n_in, **said):
    config = jaxmlp.MLPConfig((n_in, 1))
    params = jaxmlp.init(config, jax.random.key(0))
    return Model(config, params, feature_names=("x",), loss="squared_error", **said)


def predictor(folder, model):
    interchange.to_numpy(model, folder / "predictor.py")
    return runpy.run_path(str(folder / "predictor.py"))


@pytest.mark.parametrize(
    ("trained", "text"),
    [
        ("", "x\n1\n\n-2\n"),
        ("", "x;t\n1;a\n;b\n-2;c\n"),
        ("", "t,x\n\"" + "long " * 30_000 + "\",1\na,\nb,-2\n"),
        ("tab", "x\tt\n1\ta\n\tb\n-2\tc\n"),
        ("whitespace", "t  x y\n a 1  2\n b ? 3\n c  -2 3\n"),
        (":", "x:t\n1:a\n:b\n-2:c\n"),
    ],
)  # fmt: skip
def test_the_program_reads_files_in_many_dialects(tmp_path, trained, text):
    """As the command does: a line for each row."""
    (tmp_path / "a.csv").write_text(text)
    training = {"x": [0.5, 1.5, -2.0, 3.0, None]}
    fitted = TablePreprocessor.fit(training)
    model = network(fitted.n_features, preprocessing=fitted)
    program = predictor(tmp_path, model._replace(extra={"reading": {"delimiter": trained}}))
    read = read_table(tmp_path / "a.csv", options=ReadingOptions(delimiter=trained))
    got = program["predict"](program["read_csv"](tmp_path / "a.csv"))
    np.testing.assert_allclose(got, infer(model, prepare(model, read)), rtol=1e-5)
    assert len(got) == 3


@pytest.mark.parametrize("text", ["x\n1\n\n-2\n", "x;t\n1;a\n;b\n", "1\n\n-2\n"])
def test_a_program_of_numbers_skips_no_row(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    program = predictor(tmp_path, network(1))
    with pytest.raises(SystemExit, match="something that is not a number"):
        program["read_csv"](tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(text.replace("\n\n", "\n7\n").replace("\n;", "\n7;"))
    assert 7 in program["read_csv"](tmp_path / "a.csv")


def _function_with(name, limit):
    """A function of a module of its own, that uses a constant called LIMIT."""
    module = {"__name__": name, "LIMIT": limit}
    source = f"def {name}(value):\n    return min(value, LIMIT)\n"
    exec(compile(source, name, "exec"), module)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return module[name]


def test_one_name_of_two_constants_is_refused():
    """A file holds one constant of a name: the second module would compute with the first's."""
    small, large = _function_with("small", 3), _function_with("large", 30)
    again = _function_with("again", 3)
    assert source_of([small, again])[0].count("LIMIT = 3") == 1
    with pytest.raises(ValueError, match="two modules call different things LIMIT"):
        source_of([small, large])
