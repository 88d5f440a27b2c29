"""All members of a sweep, shape after shape, turn after turn, and what they learnt."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import jax
import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.networks import NetworkConfig, NetworkParams
from jaxmlp.sweeps.grid import GridPoint, check_names
from jaxmlp.sweeps.members import learnt
from jaxmlp.sweeps.progress import Counting, reporter
from jaxmlp.sweeps.results import SweepResult, stack_metrics
from jaxmlp.sweeps.spec import SweepSpec, by_shape
from jaxmlp.training.checkpoints import Checkpoints, saving
from jaxmlp.training.runner import Listener, Runner
from jaxmlp.training.stopping import FitStatus, higher_is_better
from jaxmlp.types import State


def run_points(spec: SweepSpec, points: list[GridPoint]) -> SweepResult:
    """Train every point: shape after shape, and of each as many at once as memory allows."""
    check_points(spec, points)
    if spec.keep not in (None, "all", "best"):
        raise unknown_name("keep", spec.keep, ("all", "best"))
    collected, n_turns = Collected(points, spec, spec.keep), 0
    with reporter(spec.progress, len(points), spec.epochs) as report:
        for group, indices in by_shape(spec, points).items():
            collected.n_programs += 1
            executor = group.executor([points[i] for i in indices])
            size = group.members_at_once(executor, len(indices))
            for start in range(0, len(indices), size):
                turn = indices[start : start + size]
                # The last turn is filled up, so that it runs the program of the others.
                filled = turn + [turn[-1]] * (min(size, len(indices)) - len(turn))
                run = group.run([points[i] for i in filled], executor)
                done = collected.n_done
                counting = Counting(report, done, len(turn), len(points), spec.epochs)
                n_turns += 1
                _train_turn(spec.checkpoint, n_turns, run, spec.epochs, counting)
                collected.add(turn, group.config, run)
                if run.stopped:
                    return collected.result()
    return collected.result()


def _train_turn(
    checkpoint: Checkpoints | None, number: int, run: Runner, epochs: int, counting: Counting
) -> None:
    """Train the members of a turn; saved in a folder of their own, where they may have ended."""
    if isinstance(checkpoint, Checkpoints):
        checkpoint = replace(checkpoint, folder=Path(checkpoint.folder, f"turn-{number:04}"))
    with saving(checkpoint, run) as saver:
        listeners: list[Listener] = [counting] if saver is None else [counting, saver]
        pace = None if saver is None else saver.every_epochs
        run.advance(epochs - run.n_steps // run.steps_per_epoch, listeners, pace)
        if saver is not None:
            saver.save(run)


def check_points(spec: SweepSpec, points: list[GridPoint]) -> None:
    """Refuse names that nothing reads."""
    named = [{k: v for k, v in point.items() if k != "fold"} for point in points]
    check_names(named, spec.factory, spec.training.loss)


@dataclass
class Collected:
    """What has been learnt so far; `keep` says whose parameters are kept, as `sweep` has it."""

    points: list[GridPoint]
    spec: SweepSpec
    keep: str | None
    indices: list[int] = field(default_factory=list)
    metrics: list[np.ndarray] = field(default_factory=list)
    status: list[np.ndarray] = field(default_factory=list)
    best_epoch: list[np.ndarray] = field(default_factory=list)
    epoch: list[np.ndarray] = field(default_factory=list)
    configs: dict[int, NetworkConfig] = field(default_factory=dict)
    learnt: dict[int, tuple[NetworkParams, State]] = field(default_factory=dict)
    best_score: float = float("inf")
    columns: tuple[str, ...] = ()
    best_metric: str = ""
    executors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    member_steps: int = 0
    n_programs: int = 0
    kept_bytes: int = 0

    @property
    def n_done(self) -> int:
        """Members that have ended."""
        return len(self.indices)

    def add(self, turn: list[int], config: NetworkConfig, run: Runner) -> None:
        """Take in the members of one turn; a run may have more, by which it was filled up."""
        keep_best, n = self.spec.training.keep_best, len(turn)
        self.columns, self.best_metric = run.columns, run.program.best_metric
        if str(run.executor) not in self.executors:
            self.executors.append(str(run.executor))
        self.add_time(run)
        self.indices += turn
        self.metrics.append(_filled(run, self.spec.epochs)[:n])
        self.status.append(run.status[:n])
        self.best_epoch.append(run.best_epoch[:n])
        self.epoch.append(run.kept_epoch(keep_best)[:n])
        self._keep(turn, config, learnt(run, keep_best), _scores(run, keep_best)[:n])

    def add_time(self, run: Runner) -> None:
        """Add up the time that members took."""
        self.seconds += run.seconds
        self.member_steps += run.member_steps

    def _keep(
        self,
        turn: list[int],
        config: NetworkConfig,
        found: tuple[NetworkParams, State],
        scores: np.ndarray,
    ) -> None:
        """Keep the parameters of all, or of the best so far."""
        found = jax.tree.map(lambda leaf: leaf[: len(turn)], found)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(found))
        fits = 2 * (self.kept_bytes + size) <= self.spec.memory_limit
        keeps_all = self.keep == "all" or (self.keep is None and fits)
        self.kept_bytes += size if keeps_all else 0
        for place, (index, score) in enumerate(zip(turn, scores.tolist(), strict=True)):
            self.configs[index] = config
            is_best = score < self.best_score or not self.learnt
            if is_best and not keeps_all:
                self.learnt = {}
            if is_best or keeps_all:
                self.learnt[index] = jax.tree.map(lambda leaf, p=place: leaf[p].copy(), found)
            self.best_score = min(self.best_score, score)

    def result(self) -> SweepResult:
        """Put the members into the order of their points."""
        metrics = stack_metrics(self.metrics)
        order = np.argsort(np.array(self.indices), kind="stable")
        done = [self.indices[i] for i in order]
        microseconds = self.seconds / max(self.member_steps, 1) * 1e6
        return SweepResult(
            settings=[self.points[i] for i in done],
            configs=[self.configs[i] for i in done],
            loss=self.spec.training.loss,
            columns=self.columns,
            metrics=metrics[order],
            status=[FitStatus(int(s)) for s in np.concatenate(self.status)[order]],
            best_epoch=np.concatenate(self.best_epoch)[order],
            epoch=np.concatenate(self.epoch)[order],
            best_metric=self.best_metric,
            executor=f"{' and '.join(self.executors)}: {_rounded(microseconds)} us per member-step",
            microseconds=microseconds,
            n_programs=self.n_programs,
            learnt={done.index(i): learnt for i, learnt in self.learnt.items()},
        )


def _scores(run: Runner, keep_best: bool) -> np.ndarray:
    """The best metric of each member where its parameters are from; smaller is better."""
    rows = _signed_rows(run)
    epoch = run.kept_epoch(keep_best)
    padded = np.concatenate([np.full((run.size, 1), np.inf), rows], axis=1)  # epoch 0: no score
    return np.nan_to_num(padded[np.arange(run.size), epoch], nan=np.inf)


def best_scores(run: Runner) -> np.ndarray:
    """The best that each member has reached so far, smaller is better; inf where it has nothing."""
    rows = _signed_rows(run)
    return np.min(np.where(np.isfinite(rows), rows, np.inf), axis=1, initial=np.inf)


def _signed_rows(run: Runner) -> np.ndarray:
    """The best metric of each member and epoch, with the sign that makes smaller better."""
    sign = -1.0 if higher_is_better(run.program.best_metric) else 1.0
    return sign * run.metrics[:, :, run.columns.index(run.program.best_metric)]


def _filled(run: Runner, epochs: int) -> np.ndarray:
    """The metrics, with rows of NaN for the epochs that no member needed."""
    missing = 0 if run.stopped else max(0, epochs - run.n_epochs)
    return np.pad(run.metrics, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan)


def _rounded(number: float) -> str:
    """Three digits, without an exponent.

    >>> _rounded(13.37), _rounded(6921.0)
    ('13.4', '6,921')
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
