"""`jaxmlp train --budget`: what is left of a time buys a search, then an ensemble.

Clocks are made of numbers: what is decided must not depend on how fast this machine is.
"""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.special
from rich.console import Console

import jaxmlp
from jaxmlp.cli import budget, candidates, train
from jaxmlp.cli.budget import Budget, spend
from jaxmlp.cli.candidates import Candidates
from jaxmlp.cli.main import run
from jaxmlp.cli.options import Options
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.data import Dataset, Standardizer
from jaxmlp.losses import get_loss
from jaxmlp.models import infer
from jaxmlp.sweeps import SweepProgress, SweepResult
from jaxmlp.training import FitStatus, History

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2)).astype(np.float32)
Y = (X[:, 0] + 0.3 * RNG.normal(size=120) > 0).astype(np.int32)
PARTS = [Dataset(X[a:b], Y[a:b], ("a", "b"), ("no", "yes")) for a, b in ((0, 60), (60, 120))]
DATA = PreparedData("made", *PARTS, PARTS[1], Standardizer.fit(X), ("a", "b"))
OPTIONS = Options(
    layers=(4,), epochs=10, batch_size=60, learning_rate=0.1, patience=10, schedule="cosine"
)
CONFIG = jaxmlp.MLPConfig((2, 4, 2))
METRIC = "validation_loss"
COMPILE, ONE = 2.0, 1.0  # seconds of a program, and of a training as long as the first


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Turns:
    """Trains nothing: the networks are known, and time passes as it is told to.

    A rate near 0.2 is a good one; a seed other than 0 gives other parameters of the same score.
    """

    def __init__(self, clock, pace=1.0, interrupted_at=None, raises=False, long_is_better=False,
                 overhead=0.0):  # fmt: skip
        self.clock, self.pace, self.shapes, self.calls = clock, pace, set(), []
        self.long_is_better, self.overhead = long_is_better, overhead
        self.interrupted_at, self.raises = interrupted_at, raises

    def train(self, candidates, seeds, on_progress):
        assert len({(c.layers, c.epochs) for c in candidates}) == 1
        if self.raises:
            raise KeyboardInterrupt
        first, n = candidates[0], len(candidates)
        shape = (first.layers, n)
        self.clock.now += COMPILE * self.pace * (shape not in self.shapes) + self.overhead
        self.shapes.add(shape)
        self.calls.append((candidates, seeds))
        weights = {(4,): 16, (64, 64): 4352, (256, 256): 66560, (128, 128, 128): 33280}
        seconds = n * self.pace * ONE * first.epochs / 10 * weights[first.layers] / 16
        status, ended = FitStatus.COMPLETED, first.epochs
        for epoch in range(1, first.epochs + 1):
            self.clock.now += seconds / first.epochs
            stop = on_progress(SweepProgress(0, n, n, epoch, first.epochs)) is True
            if epoch < first.epochs and (stop or len(self.calls) == self.interrupted_at):
                status, ended = FitStatus.INTERRUPTED, epoch
                break
        config = CONFIG.replace(layer_sizes=(2, *first.layers, 2))
        scores = [abs(np.log(c.rate / 0.2)) / 10 for c in candidates]
        if self.long_is_better:
            scores = [1 / first.epochs + 1e-3 * score for score in scores]
        params = [jaxmlp.init(config, jax.random.key(seed)) for seed in seeds]
        columns = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
        metrics = np.stack([np.full((ended, 4), score) for score in scores])
        epochs = np.full(n, ended)
        return SweepResult(
            [{} for _ in seeds], [config] * n, get_loss(DATA.loss), columns, metrics, [status] * n,
            epochs, epochs, METRIC, "", seconds / first.epochs / n * 1e6, 1,
            {i: (p, ()) for i, p in enumerate(params)},
        )  # fmt: skip


@pytest.fixture(scope="module")
def first():
    """A training of 10 epochs; that its clock showed 1 second is put in."""
    result = jaxmlp.fit(
        CONFIG, jaxmlp.init(CONFIG, jax.random.key(0)), (PARTS[0].x, PARTS[0].y), loss=DATA.loss,
        optimizer=jaxmlp.adam(1e-3), epochs=10, batch_size=60, key=jax.random.key(1),
        validation_data=(PARTS[1].x, PARTS[1].y),
    )  # fmt: skip
    return with_column(result, "seconds", ONE / 10)


def with_column(result, name, value):
    history = History({**result.history, name: np.full(10, value)})
    return replace(result, history=history)


def spent(seconds, first, **how):
    """Spend a budget of which the first training took its share."""
    clock = Clock()
    spending, turns = Budget(seconds, clock), Turns(clock, **how)
    clock.now += COMPILE + ONE
    console = Console(width=200, highlight=False)
    found = spend(spending, console, OPTIONS, DATA, first, COMPILE + ONE, METRIC, turns)
    return found, turns, spending


@pytest.mark.parametrize("seconds", [6.2, 6.5, 8, 10, 15, 30, 60, 300])
def test_the_budget_is_kept_and_used(seconds, first):
    found, turns, spending = spent(seconds, first)
    assert spending.spent <= seconds + 1e-6
    kinds = ["search" if set(seeds) == {0} else "ensemble" for _, seeds in turns.calls]
    assert kinds == sorted(kinds, reverse=True)  # first the search
    assert "ensemble" in kinds
    assert len({len(seeds) for _, seeds in turns.calls}) == 1  # so that turns share a program
    assert ("search" in kinds) == (seconds >= 15)  # up to 7 networks are the ensemble's
    if seconds >= 30:
        assert spending.spent >= 0.6 * seconds
    assert found.record["spent"] == spending.spent
    stages = [found.record[name]["networks"] for name in ("search", "ensemble")]
    assert sum(stages) == sum(len(seeds) for _, seeds in turns.calls)
    assert stages[1] <= 7


@pytest.mark.parametrize("seconds", [15, 25, 40, 60])
def test_longer_trainings_that_turn_out_best_leave_time_for_their_ensemble(seconds, first):
    found, _, spending = spent(seconds, first, long_is_better=True)
    assert found.options.epochs == 15 or seconds < 60
    assert found.record["ensemble"]["networks"] >= min(7, seconds // 5)
    assert spending.spent <= seconds + 1e-6


def test_what_turns_take_beside_training_is_learnt(first):
    found, turns, spending = spent(120, first, overhead=3.0)
    assert found.record["ensemble"]["networks"] == 7
    assert len(turns.calls) > 5
    assert spending.spent <= 120


@pytest.mark.parametrize("seconds", [1, 3, 5.9])
def test_where_nothing_fits_one_line_says_so(seconds, first, capsys):
    found, turns, _ = spent(seconds, first)
    assert not turns.calls
    assert (found.options, found.result, found.ensemble) == (OPTIONS, first, ())
    out = capsys.readouterr().out
    assert f"no further training fits into what is left of {seconds:g} s" in out
    assert "one takes about 3.1 s" in out


@pytest.mark.parametrize("seconds", [9, 20])
def test_what_takes_longer_than_predicted_ends_within_a_chunk(seconds, first):
    """Four times as slow as the first training said: the compilation alone is past 9 seconds."""
    found, turns, spending = spent(seconds, first, pace=4.0)
    chunk = 4.0 * ONE * len(turns.calls[0][1]) / 10
    compilation = 4.0 * COMPILE
    assert seconds <= spending.spent <= max(seconds, COMPILE + ONE + compilation) + chunk + 1e-6
    assert not found.interrupted
    assert np.isfinite(found.record["ensemble"]["after"])


def test_the_search_keeps_the_best_numbers(first, capsys):
    found, turns, _ = spent(60, first)
    tried = [c for candidates, seeds in turns.calls if set(seeds) == {0} for c in candidates]
    best = min(tried, key=lambda c: abs(np.log(c.rate / 0.2)))
    assert found.options == best
    search = found.record["search"]
    assert search["before"] == pytest.approx(first.history[METRIC][-1])
    assert search["after"] == pytest.approx(abs(np.log(best.rate / 0.2)) / 10)
    changed = found.record["changed"]
    assert changed["learning_rate"] == best.learning_rate
    assert all(getattr(best, name) == value for name, value in changed.items())
    assert f"learning rate {best.learning_rate:g}" in capsys.readouterr().out
    ensembles = [candidates for candidates, seeds in turns.calls if 0 not in seeds]
    assert all(c == best for candidates in ensembles for c in candidates)
    seeds = [seed for _, seeds in turns.calls for seed in seeds if seed]
    assert len(set(seeds)) == len(seeds)


def test_an_ensemble_is_kept_where_its_mean_is_better(first):
    """The networks of the fake turns know nothing, so that any mean is worse than a good score."""
    found, _, _ = spent(60, first)
    assert not found.ensemble
    assert found.record["ensemble"]["networks"] == 7
    assert found.record["ensemble"]["after"] == found.record["ensemble"]["before"]
    poor = with_column(first, METRIC, 9.0)
    found, turns, _ = spent(6.5, poor)
    assert len(found.ensemble) == len(turns.calls[0][1]) == 1
    networks = [(poor.params, ()), *found.ensemble]
    logits = [np.asarray(jaxmlp.predict(CONFIG, p, PARTS[1].x), float) for p, _ in networks]
    mean = np.mean([scipy.special.softmax(o, axis=1) for o in logits], axis=0)
    by_hand = -np.mean(np.log(mean[np.arange(60), PARTS[1].y]))
    assert found.record["ensemble"]["after"] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("how", [{"interrupted_at": 2}, {"raises": True}])
def test_ctrl_c_keeps_the_best_so_far(how, first, capsys):
    found, turns, spending = spent(300, first, **how)
    assert found.interrupted
    assert spending.spent < 100
    assert len(turns.calls) == how.get("interrupted_at", 0)
    assert all(set(seeds) == {0} for _, seeds in turns.calls)
    assert not found.ensemble
    if turns.calls:
        assert found.record["search"]["after"] < found.record["search"]["before"]
    else:
        assert found.result is first
    assert "interrupted" in capsys.readouterr().out


def test_candidates_are_drawn_by_the_seed_and_differ_in_rates_within_a_turn():
    drawn = [[Candidates(OPTIONS).turn(6, lambda _: True) for _ in range(4)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    draws = Candidates(OPTIONS)
    turns = [draws.turn(6, lambda _: True) for _ in range(30)]
    assert {(c.layers, c.epochs) for c in turns[0]} == {((4,), 10)}
    assert {c.layers for turn in turns for c in turn} > {(4,), (64, 64)}
    assert {c.epochs for turn in turns for c in turn} == {5, 10, 15}
    rates = [c.rate for turn in turns for c in turn]
    assert 0.025 <= min(rates) < 0.05
    assert 0.2 < max(rates) <= 0.4
    assert draws.turn(6, lambda _: False) == []


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"size": rng.normal(50, 10, 200), "town": rng.choice(list("abc"), 200)})
    frame["fast"] = np.where(frame["size"] + rng.normal(0, 5, 200) > 50, "yes", "no")
    path = tmp_path_factory.mktemp("budget") / "cars.csv"
    frame.to_csv(path, index=False)
    return path


SAID = ["--target", "fast", "--layers", "8", "--epochs", "2", "--batch-size", "64"]


@pytest.fixture(scope="module")
def slow_turns():
    """Each turn of 3 networks takes 10 seconds by a clock that nothing else moves."""
    clock, really = Clock(), budget.Turns.train

    def train_turn(*arguments):
        found = really(*arguments)
        clock.now += 10
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "Budget", lambda seconds: Budget(seconds, clock))
        patch.setattr(budget.Turns, "train", train_turn)
        patch.setattr(candidates.Pace, "seconds", lambda self, turns, n: 10.0 * len(turns))
        patch.setattr(candidates.Pace, "networks", lambda *_: 3)
        patch.setitem(candidates._KEPT, "layers", 1.0)  # other sizes would be compiled
        yield patch


@pytest.fixture(scope="module")
def ensemble(table, tmp_path_factory, slow_turns):
    """A run that takes over whatever it tries, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.setattr(budget, "_better", lambda *_: True)
        assert run(["train", str(table), *SAID, "--budget", "35", "--out", str(folder)]) == 0
    return folder, out.getvalue()


def test_a_run_predicts_the_mean_of_its_networks(ensemble, table, tmp_path):
    folder, _ = ensemble
    model = jaxmlp.load(folder)
    assert len(model.ensemble) == 3
    x = model.preprocessing.transform(pd.read_csv(table))
    networks = ((model.params, model.state), *model.ensemble)
    each = [infer(model._replace(params=p, state=s, ensemble=()), x) for p, s in networks]
    assert np.ptp(each, axis=0).max() > 1e-3
    np.testing.assert_allclose(infer(model, x), np.mean(each, axis=0), rtol=1e-5, atol=1e-6)
    path = tmp_path / "p.csv"
    assert run(["predict", str(folder), str(table), "--proba", "--out", str(path)]) == 0
    written = pd.read_csv(path)[["p_no", "p_yes"]].to_numpy()
    np.testing.assert_allclose(written, np.mean(each, axis=0), atol=1e-5)


def test_a_run_of_an_ensemble_says_what_it_is(ensemble, capsys):
    folder, _ = ensemble
    page = (folder / "report.html").read_text()
    assert "the best of 4 whose predictions are averaged" in page
    assert run(["diagnose", str(folder)]) in (0, 1)
    assert "averages 4 networks; the first is examined" in capsys.readouterr().err
    for target in ("numpy", "c", "torch"):
        assert run(["export", str(folder), "--to", target]) == 2
        assert "averages the predictions of 4 networks" in capsys.readouterr().err
    assert not list(folder.glob("predictor*"))


def test_what_was_bought_is_printed_after_the_introduction_and_kept(ensemble):
    folder, out = ensemble
    parts = ("taken as", "network of recipe", "trained for", "spent on", "test set")
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    assert "30 of 35 s" in out
    found = json.loads((folder / "run.json").read_text())
    record = found["budget"]
    assert [record[name]["networks"] for name in ("first", "search", "ensemble")] == [1, 6, 3]
    assert [record[name]["seconds"] for name in ("search", "ensemble")] == [20, 10]
    assert record["networks"] == 4
    assert "learning_rate" in record["changed"]
    for name, value in record["changed"].items():
        assert found["options"][name] == value


@pytest.mark.slow
def test_json_has_what_was_bought_and_plain_may_search_too(table, tmp_path, slow_turns, capsys):
    said = ["train", str(table), *SAID, "--budget", "35", "--out", str(tmp_path / "a")]
    assert run([*said, "--recipe", "plain", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["budget"]
    assert record["metric"] == "validation_loss"
    assert record["search"]["networks"] == 6
    assert record["search"]["after"] <= record["search"]["before"]
    assert record["ensemble"]["after"] <= record["search"]["after"]
    assert isinstance(jaxmlp.load(tmp_path / "a").config, jaxmlp.MLPConfig)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--budget", "5", "--folds", "3"],
            "--budget makes one run as good as it can, and --folds",
        ),
        (
            ["--budget", "5", "--seeds", "3"],
            "--budget makes one run as good as it can, and --seeds",
        ),
        (["--budget", "5", "--schedule", "linear"], "give one of constant, cosine, coslog4"),
        (["--budget", "inf"], "--budget is inf"),
    ],
)
def test_refused_in_a_sentence(table, tmp_path, capsys, arguments, sentence):
    said = ["train", str(table), "--target", "fast", "--out", str(tmp_path / "x"), *arguments]
    assert run(said) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()
