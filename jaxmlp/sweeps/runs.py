"""All members of a sweep, shape after shape, turn after turn, and what they learnt."""

from dataclasses import dataclass, field

import jax
import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.config import MLPConfig
from jaxmlp.sweeps.engine import MemberRun, Outcome
from jaxmlp.sweeps.executors import Executor
from jaxmlp.sweeps.grid import Setting, check_names
from jaxmlp.sweeps.plan import Group, Task, by_shape
from jaxmlp.sweeps.progress import OnProgress, counting, reporter
from jaxmlp.sweeps.results import SweepResult
from jaxmlp.training.stopping import FitStatus, higher_is_better
from jaxmlp.types import Params, State

MEMORY_LIMIT = 2 << 30  # bytes


def run_settings(
    task: Task,
    settings: list[Setting],
    executor: str | Executor | None = None,
    keep: str | None = None,
    memory_limit: int = MEMORY_LIMIT,
    progress: bool | OnProgress = False,
) -> SweepResult:
    """Train every setting: shape after shape, and of each as many at once as memory allows."""
    check_names(
        [{k: v for k, v in s.items() if k != "fold"} for s in settings], task.factory, task.loss
    )
    if keep not in (None, "all", "best"):
        raise unknown_name("keep", keep, ("all", "best"))
    collected = Collected(settings, task)
    with reporter(progress, len(settings), task.epochs) as report:
        for shape, indices in by_shape(task, settings).items():
            group = Group(task, *shape)
            collected.n_programs += 1
            way = group.executor(executor, [settings[i] for i in indices])
            size = group.members_at_once(way, len(indices), memory_limit)
            for start in range(0, len(indices), size):
                turn = indices[start : start + size]
                # The last turn is filled up, so that it runs the program of the others.
                filled = turn + [turn[-1]] * (min(size, len(indices)) - len(turn))
                run = group.run([settings[i] for i in filled], way)
                done = collected.n_done
                count = counting(report, done, len(turn), len(settings), task.epochs)
                run.advance(task.epochs, count)
                collected.add(turn, group.config, run, keep, memory_limit)
                if run.interrupted:
                    return collected.result()
    return collected.result()


@dataclass
class Collected:
    """What has been learnt so far."""

    settings: list[Setting]
    task: Task
    indices: list[int] = field(default_factory=list)
    outcomes: list[tuple[Outcome, MLPConfig]] = field(default_factory=list)
    configs: dict[int, MLPConfig] = field(default_factory=dict)
    learnt: dict[int, tuple[Params, State]] = field(default_factory=dict)
    best_score: float = float("inf")
    columns: tuple[str, ...] = ()
    watched: str = ""
    ways: list[str] = field(default_factory=list)
    seconds: float = 0.0
    member_steps: int = 0
    n_programs: int = 0
    kept_bytes: int = 0

    @property
    def n_done(self) -> int:
        """Members that have ended."""
        return len(self.indices)

    def add(
        self, turn: list[int], config: MLPConfig, run: MemberRun, keep: str | None, limit: int
    ) -> None:
        """Take in the members of one turn."""
        outcome = run.outcome(self.task.keep_best)
        outcome = jax.tree.map(lambda leaf: leaf[: len(turn)], outcome)
        self.columns, self.watched = run.columns, run.columns[run.program.watched]
        self.seconds += run.seconds
        self.member_steps += run.member_steps
        if str(run.executor) not in self.ways:
            self.ways.append(str(run.executor))
        size = sum(leaf.nbytes for leaf in jax.tree.leaves((outcome.params, outcome.state)))
        keeps_all = keep == "all" or (keep is None and 2 * (self.kept_bytes + size) <= limit)
        sign = -1.0 if higher_is_better(self.watched) else 1.0
        for place, index in enumerate(turn):
            self.configs[index] = config
            score = sign * _watched_score(outcome, place, run, self.task.keep_best)
            is_best = score < self.best_score or not self.learnt
            if keeps_all or is_best:
                if not keeps_all:
                    self.learnt = {}
                self.learnt[index] = jax.tree.map(
                    lambda leaf, p=place: leaf[p].copy(), (outcome.params, outcome.state)
                )
            self.best_score = min(self.best_score, score) if np.isfinite(score) else self.best_score
        self.kept_bytes += size if keeps_all else 0
        self.indices += turn
        self.outcomes.append((outcome._replace(params=(), state=()), config))

    def result(self) -> SweepResult:
        """Put the members into the order of their settings."""
        metrics = _concatenate([outcome.metrics for outcome, _ in self.outcomes])
        status = np.concatenate([outcome.status for outcome, _ in self.outcomes])
        best_epoch = np.concatenate([outcome.best_epoch for outcome, _ in self.outcomes])
        order = np.argsort(np.array(self.indices), kind="stable")
        done = [self.indices[i] for i in order]
        ended = np.isfinite(metrics[..., 0]).sum(axis=1)
        use_best = (status == FitStatus.DIVERGED) | (status == FitStatus.INTERRUPTED)
        epoch = np.where(use_best | self.task.keep_best, best_epoch, ended)
        microseconds = self.seconds / max(self.member_steps, 1) * 1e6
        return SweepResult(
            [self.settings[i] for i in done],
            [self.configs[i] for i in done],
            self.columns,
            metrics[order],
            [FitStatus(int(s)) for s in status[order]],
            best_epoch[order],
            epoch[order],
            self.watched,
            f"{' and '.join(self.ways)}: {_rounded(microseconds)} us per member-step",
            microseconds,
            self.n_programs,
            {done.index(i): learnt for i, learnt in self.learnt.items() if i in self.configs},
        )


def _watched_score(outcome: Outcome, place: int, run: MemberRun, keep_best: bool) -> float:
    rows = outcome.metrics[place, :, run.program.watched]
    finite = np.flatnonzero(np.isfinite(rows))
    if not len(finite):
        return float("inf")
    use_best = keep_best or outcome.status[place] in (FitStatus.DIVERGED, FitStatus.INTERRUPTED)
    at = int(outcome.best_epoch[place]) - 1 if use_best else finite[-1]
    return float(rows[at])


def _concatenate(parts: list[np.ndarray]) -> np.ndarray:
    """Stack turns; one that was interrupted has fewer epochs."""
    epochs = max(part.shape[1] for part in parts)
    padded = [
        np.pad(part, ((0, 0), (0, epochs - part.shape[1]), (0, 0)), constant_values=np.nan)
        for part in parts
    ]
    return np.concatenate(padded)


def _rounded(number: float) -> str:
    """Three digits, without an exponent.

    >>> _rounded(13.37), _rounded(6921.0)
    ('13.4', '6,921')
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
