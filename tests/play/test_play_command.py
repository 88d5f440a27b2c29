"""`jaxmlp play`: what is wrong with its arguments is said at once."""

import socket

import pytest

from jaxmlp.cli.main import run

pytest.importorskip("uvicorn", reason="needs uvicorn")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.csv"], "there is no file none.csv"),
        (["--link", "http://127.0.0.1:1/#nothing"], "the link holds no settings"),
        (["--link", "eyJkYXRhIjp7Im5vaXNlIjo3fX0"], "noise is 7; give a number from 0 to 1."),
    ],
)
def test_bad_arguments_end_with_2_and_a_sentence(arguments, sentence, capsys):
    assert run(["play", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_table_that_cannot_be_learnt_is_named(tmp_path, capsys):
    path = tmp_path / "one.csv"
    path.write_text("a,b\n1,2\n1,2\n1,2\n")
    assert run(["play", str(path)]) == 2
    assert "b" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["play", "--port", str(taken.getsockname()[1])]) == 2
    assert "nothing can listen at 127.0.0.1" in capsys.readouterr().err
