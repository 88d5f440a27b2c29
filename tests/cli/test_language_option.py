"""What the commands find is said in the language of --language, else in the locale's."""

import json
from pathlib import Path

import pytest

from jaxmlp.cli import verify as verify_module
from jaxmlp.cli.main import run
from jaxmlp.verification.input_side import check_input_side
from jaxmlp.verification.registry import Case

HOMEWORK = """
import numpy as np

params = np.array([0.5, -1.0])

def loss(w):
    return 0.5 * np.sum(w**2)

def doubled(w):
    return 2 * w
"""
VERIFY = ["verify", "taught:doubled", "--against", "taught:loss", "--params", "taught:params"]
DEAD = {"data": "digits", "layers": [8], "init": "zeros"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("taught.py").write_text(HOMEWORK, encoding="utf-8")
    Path("dead.json").write_text(json.dumps(DEAD), encoding="utf-8")


@pytest.mark.parametrize(
    ("locale", "said", "vietnamese"),
    [("C.UTF-8", [], False), ("vi_VN.UTF-8", [], True), ("vi_VN", ["--language", "en"], False),
     ("C", ["--language", "vi"], True)],
)  # fmt: skip
def test_verify(locale, said, vietnamese, monkeypatch, capsys):
    monkeypatch.setenv("LC_ALL", locale)
    assert run([*VERIFY, *said]) == 1
    shown = capsys.readouterr().out
    assert ("kiểm tra gradient: SAI" in shown) is vietnamese
    assert ("gấp 2 lần gradient đúng ở mọi phần tử: thiếu một thừa số 1/2" in shown) is vietnamese
    assert ("gradient check: FAIL" in shown) is not vietnamese


def test_verify_of_the_library(monkeypatch, capsys):
    few = [Case("tanh", "squared_error", "auto", 2, "float64")]
    monkeypatch.setattr(verify_module, "default_cases", lambda: few)
    parts = check_input_side(0)
    monkeypatch.setattr(verify_module, "check_input_side", lambda seed: parts)
    assert run(["verify", "--language", "vi"]) == 0
    shown = capsys.readouterr().out
    for words in ("hàm kích hoạt", "kết luận", "đạt", "chênh lệch tương đối", "1 mạng và"):
        assert words in shown
    assert "median" not in shown


def test_diagnose(capsys):
    assert run(["diagnose", "dead.json", "--language", "vi"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "nghiêm trọng: mọi đơn vị có cùng trọng số, tầng 1 Cả 8 đơn vị của tầng 1" in shown
    assert "Hãy lấy trọng số ngẫu nhiên: khởi tạo He;" in shown


def test_diagnose_for_programs(capsys):
    assert run(["diagnose", "dead.json", "--language", "vi", "--json"]) == 1
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["kind"], first["language"]) == ("symmetric_weights", "vi")
    assert first["remedy"].startswith("Hãy lấy trọng số ngẫu nhiên")


def test_train(capsys):
    arguments = ["train", "digits", "--layers", "8", "--init", "zeros", "--epochs", "1"]
    assert run([*arguments, "--language", "vi"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "nghiêm trọng: mọi đơn vị có cùng trọng số, tầng 1" in shown


@pytest.mark.parametrize("command", [VERIFY, ["diagnose", "dead.json"], ["train", "digits"]])
def test_an_unknown_language_is_refused_before_anything_is_done(command, capsys):
    assert run([*command, "--language", "fr"]) == 2
    assert capsys.readouterr().err == "error: unknown language 'fr'. Known: en, vi.\n"
    assert not Path("runs").exists()


def test_finetune(capsys):
    arguments = ["--layers", "8", "--init", "zeros", "--epochs", "1", "--out", "run", "-q"]
    assert run(["train", "digits", *arguments]) == 0
    capsys.readouterr()
    assert run(["finetune", "run", "digits", "--epochs", "1", "--language", "vi"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "nghiêm trọng: mọi đơn vị có cùng trọng số, tầng 1" in shown
