"""What a sweep found, as a table, and its members as ordinary networks."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.formatting import format_number
from jaxmlp.losses import Loss
from jaxmlp.networks import Network
from jaxmlp.optional import import_optional
from jaxmlp.sweeps.grid import GridPoint
from jaxmlp.training.history import History
from jaxmlp.training.stopping import FitStatus, higher_is_better
from jaxmlp.types import State


class TrainedMember(NamedTuple):
    """One network of a sweep, in ordinary form.

    Attributes:
        setting: its hyperparameters by name.
        config: the network, an `MLPConfig` or a `TabularConfig`.
        loss: the loss it was trained with.
        params: what it learnt; `jaxmlp.predict(config, params, x, state=state)`, of a network for
            tables `jaxmlp.tabular_network.predict`.
        state: running statistics, or ().
        metrics: by name, at the epoch that `params` are from.
        status: how its run ended.
        best_epoch: the epoch with the best metric, from 1.
    """

    setting: GridPoint
    config: Any
    loss: Loss
    params: Any
    state: State
    metrics: dict[str, float]
    status: FitStatus
    best_epoch: int

    @property
    def network(self) -> Network:
        """The trained network as one value."""
        return Network(self.config, self.params, self.state)


@dataclass(frozen=True)
class SweepResult:
    """The members of a sweep, in the order of their settings.

    Attributes:
        settings: hyperparameters of each member; "fold" is the fold of a cross-validation.
        configs: the network of each member.
        loss: the loss they were trained with.
        columns: names of the metrics.
        metrics: one row an epoch, NaN after a run's end, (members, epochs, columns).
        status: how each run ended.
        best_epoch: the epoch with the best metric, from 1, (members,).
        epoch: the epoch whose parameters were kept, from 1, (members,).
        best_metric: the metric that decides which member is best.
        executor: which way the members ran, and how fast.
        microseconds: time of one step of one member, without compilation.
        n_programs: how many programs were compiled; one a shape.
    """

    settings: list[GridPoint]
    configs: list[Any]
    loss: Loss
    columns: tuple[str, ...]
    metrics: np.ndarray = field(repr=False)
    status: list[FitStatus] = field(repr=False)
    best_epoch: np.ndarray = field(repr=False)
    epoch: np.ndarray = field(repr=False)
    best_metric: str
    executor: str
    microseconds: float
    n_programs: int
    learnt: dict[int, tuple[Any, State]] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        """Count the members."""
        return len(self.settings)

    def __repr__(self) -> str:
        """Say how many, how they ran, and which was best."""
        return (
            f"SweepResult({len(self)} members, {self.n_programs} programs, {self.executor}; best "
            f"{self.best_metric} {format_number(self.scores[self.best_index])} with "
            f"{self.settings[self.best_index]})"
        )

    @property
    def final(self) -> np.ndarray:
        """Metrics at the epoch whose parameters were kept, (members, columns)."""
        if not self.metrics.shape[1]:
            return np.full((len(self), len(self.columns)), np.nan)
        at = np.maximum(self.epoch, 1) - 1
        values = self.metrics[np.arange(len(self)), at]
        return np.where(self.epoch[:, None] > 0, values, np.nan)

    @property
    def scores(self) -> np.ndarray:
        """The best metric of each member, (members,)."""
        return self.final[:, self.columns.index(self.best_metric)]

    @property
    def best_index(self) -> int:
        """Index of the best member; of the first one if none has a finite score."""
        sign = -1.0 if higher_is_better(self.best_metric) else 1.0
        return int(np.argmin(np.where(np.isfinite(self.scores), sign * self.scores, np.inf)))

    @property
    def best(self) -> TrainedMember:
        """The best member."""
        return self.member(self.best_index)

    def member(self, index: int) -> TrainedMember:
        """Return one member as an ordinary network.

        Args:
            index: its place in `settings`.

        Returns:
            The member.

        Raises:
            ValueError: if its parameters were not kept (`keep="best"`).
        """
        if index not in self.learnt:
            raise ValueError(
                f"the parameters of member {index} were not kept; sweep with keep='all' (they must "
                "fit into memory_limit), or train its setting alone."
            )
        params, state = jax.tree.map(jnp.asarray, self.learnt[index])
        metrics = dict(zip(self.columns, map(float, self.final[index]), strict=True))
        return TrainedMember(
            self.settings[index],
            self.configs[index],
            self.loss,
            params,
            state,
            metrics,
            self.status[index],
            int(self.best_epoch[index]),
        )

    def history(self, index: int) -> History:
        """Return the epochs of one member, up to its end."""
        rows = self.metrics[index]
        rows = rows[np.isfinite(rows).any(axis=1)].astype(np.float64)
        columns = dict(zip(self.columns, rows.T, strict=True))
        return History({"epoch": np.arange(1, len(rows) + 1), **columns})

    @property
    def table(self) -> Any:
        """One row a member: setting, metrics, epochs, status; a pandas DataFrame."""
        names = list(self.settings[0])
        columns: dict[str, Any] = {name: [s[name] for s in self.settings] for name in names}
        columns |= dict(zip(self.columns, self.final.T, strict=True))
        columns["epoch"] = self.epoch
        columns["status"] = [status.name.lower() for status in self.status]
        return _pandas().DataFrame(columns)

    def summary(self, over: tuple[str, ...] | str = ("seed", "fold")) -> Any:
        """Return mean and standard deviation over seeds and folds, the best setting first.

        Args:
            over: the names to average over; those that were not swept do not matter.

        Returns:
            A pandas DataFrame, one row for each combination of the other names: "NAME_mean",
            "NAME_std" (with n - 1; NaN for one member) of each metric, and "members".

        Raises:
            ImportError: if pandas is not installed.
        """
        table = self.table
        over = (over,) if isinstance(over, str) else over
        names = [name for name in self.settings[0] if name not in over]
        keys = [table[name].map(str) for name in names] if names else [np.zeros(len(table), int)]
        groups = table.groupby(keys, sort=False)
        means, stds = groups[list(self.columns)].mean(), groups[list(self.columns)].std()
        found = groups[names].first().reset_index(drop=True) if names else _pandas().DataFrame()
        for column in self.columns:
            found[f"{column}_mean"] = means[column].to_numpy()
            found[f"{column}_std"] = stds[column].to_numpy()
        found["members"] = groups.size().to_numpy()
        ascending = not higher_is_better(self.best_metric)
        return found.sort_values(f"{self.best_metric}_mean", ascending=ascending, ignore_index=True)


def stack_metrics(parts: list[np.ndarray]) -> np.ndarray:
    """Put members one after another; where a part was interrupted, NaN fill its epochs up.

    >>> stack_metrics([np.ones((1, 2, 1)), np.ones((1, 1, 1))]).ravel().tolist()
    [1.0, 1.0, 1.0, nan]
    """
    epochs = max(part.shape[1] for part in parts)
    padded = [
        np.pad(part, ((0, 0), (0, epochs - part.shape[1]), (0, 0)), constant_values=np.nan)
        for part in parts
    ]
    return np.concatenate(padded)


def _pandas() -> Any:
    return import_optional("pandas", "tables are made with pandas", "jaxmlp[sklearn]")
