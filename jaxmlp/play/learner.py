"""One network of the page: how it is trained, looked at, and taken back in time."""

from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.data import Dataset
from jaxmlp.losses import Loss, get_loss
from jaxmlp.models import Model
from jaxmlp.network import init, value_and_grad
from jaxmlp.normalization import init_state
from jaxmlp.optimizers import Optimizer, apply_updates, get_optimizer_factory
from jaxmlp.play.examples import Examples
from jaxmlp.play.looking import Look, look
from jaxmlp.play.settings import LOSSES, NetworkSettings
from jaxmlp.training.chunk import MemberInputs, SharedInputs, copy_tree, first_carry, run_chunk
from jaxmlp.training.data import TrainData, pad_data, prepare_data
from jaxmlp.training.options import DEFAULTS, check_options
from jaxmlp.training.program import Carry
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import Params

_MOST_EPOCHS = 256  # that one call may end
_MOST_SNAPSHOTS = 256
_MOST_SEGMENTS = 1000


class Segment(NamedTuple):
    """From which step on a network had which settings, and whether its moments began anew.

    With an example, the segment is one step by hand: with this row of the training part alone.
    """

    step: int
    settings: NetworkSettings
    fresh: bool = True
    example: int | None = None


class _Snapshot(NamedTuple):
    """Where a run stood, on the host."""

    step: int
    settings: NetworkSettings
    carry: Carry


def _make_config(settings: NetworkSettings, examples: Examples) -> MLPConfig:
    """Describe the network: as many inputs and outputs as the examples and the loss need.

    >>> from jaxmlp.play.examples import make_examples
    >>> from jaxmlp.play.settings import DataSettings
    >>> _make_config(NetworkSettings(), make_examples(DataSettings())).layer_sizes
    (2, 4, 1)
    """
    many = settings.loss == "softmax_cross_entropy"
    hidden = tuple(layer.units for layer in settings.layers)
    return MLPConfig(
        (examples.train.x.shape[1], *hidden, examples.n_classes if many else 1),
        activation=tuple(layer.activation for layer in settings.layers),
        weight_init=settings.initializer,
        batch_norm=settings.batch_norm,
        dropout=settings.dropout > 0,
    )


def _make_rule(settings: NetworkSettings) -> Optimizer:
    """Make the update rule; its numbers are arguments of the program."""
    numbers: dict[str, Any] = dict(settings.numbers)
    if "weight_decay" in numbers:  # as an array, 0 is the same program as any other decay
        numbers["weight_decay"] = jax.device_put(np.float32(numbers["weight_decay"]))
    return get_optimizer_factory(settings.rule)(**numbers)


def suitable_loss(loss: str, examples: Examples) -> str:
    """Return a loss that suits the task: the one that is given, if it does."""
    known: tuple[str, ...] = LOSSES[examples.task]
    if examples.n_classes > 2:
        known = ("softmax_cross_entropy",)
    return loss if loss in known else known[0]


class Learner:
    """A network on its way, at any step of which it can be looked at.

    Args:
        settings: of the network.
        examples: what it learns.
    """

    def __init__(self, settings: NetworkSettings, examples: Examples) -> None:
        """Draw the weights."""
        self.settings, self.examples = settings, examples
        self._prepare()
        self.restart()

    def _prepare(self) -> None:
        settings, examples = self.settings, self.examples
        self.config = _make_config(settings, examples)
        self.loss: Loss = get_loss(settings.loss)
        self._test = self._rows(examples.test)
        n_rows = len(examples.train.x)
        self.batch_size = min(settings.batch_size or n_rows, n_rows)
        self.steps_per_epoch = -(-n_rows // self.batch_size)
        data = examples.train.x, examples.train.y
        options = {**DEFAULTS, "batch_size": self.batch_size}
        self._spec = check_options(self.config, data, self.loss, options)  # as `fit` has it
        program = self._spec.program_of_one(n_rows)
        self.program = replace(program, history_rows=_MOST_EPOCHS)
        self._train = self._spec.train
        self._grid = jax.device_put(examples.grid)
        self._bind()

    def _rows(self, part: Dataset) -> TrainData:
        return pad_data(prepare_data(self.config, self.loss, (part.x, part.y)))

    def _bind(self) -> None:
        """Bring the numbers of the settings into the form that programs take."""
        settings = self.settings
        self.optimizer = _make_rule(settings)
        self._numbers = self._spec.settings(
            jax.random.key(settings.seed), l2=settings.l2, dropout_rate=settings.dropout
        )

    @property
    def shape(self) -> Any:
        """What a training program is compiled for; of the same shape, nothing compiles."""
        return (
            self.program, jax.tree.structure(self.optimizer), self._train.x.shape,
        )  # fmt: skip

    @property
    def look_shape(self) -> Any:
        """What a look is compiled for."""
        return (
            self.config.replace(dropout=False), self.loss, self._train.x.shape,
            self._test.x.shape, self.examples.grid_shape,
        )  # fmt: skip

    @property
    def most_steps(self) -> int:
        """How many steps one call can take."""
        return _MOST_EPOCHS * self.steps_per_epoch

    def restart(self) -> None:
        """Go back to step 0, with the weights of the seed."""
        self.step, self.diverged = 0, False
        self.segments = [Segment(0, self.settings)]
        self._snapshots: list[_Snapshot] = []
        params = init(self.config, jax.random.key(self.settings.seed))
        self._carry = self._begin(params, init_state(self.config))
        self.keep()

    def _begin(self, params: Any, state: Any) -> Carry:
        return first_carry(self.program, None, self.optimizer, params, state)

    def change(self, settings: NetworkSettings) -> bool:
        """Take other settings; whether the network had to begin anew for them.

        Numbers go on where they are; another rule, batch size or dropout keeps the parameters and
        begins with fresh moments; all else begins anew.

        Raises:
            ValueError: for settings that do not go together; all is then as it was.
        """
        old, self.settings = self.settings, settings
        anew = _what_is_drawn(old) != _what_is_drawn(settings)
        fresh = _what_is_compiled(old) != _what_is_compiled(settings)
        try:
            if fresh:
                self._prepare()
        except ValueError:
            self.settings = old
            self._prepare()
            raise
        if anew:
            self.restart()
        elif fresh:
            self._carry = self._begin(self._carry.params, self._carry.state)
            self._note_segment(fresh=True)
        elif old != settings:
            self._bind()
            self._note_segment(fresh=False)
        return anew

    def _note_segment(self, *, fresh: bool, example: int | None = None) -> None:
        if self.segments and self.segments[-1].step == self.step:
            fresh |= self.segments.pop().fresh
        if len(self.segments) < _MOST_SEGMENTS:
            self.segments.append(Segment(self.step, self.settings, fresh, example))

    def take(self, n_steps: int) -> None:
        """Take steps, as `fit` does; at most `most_steps`. None where the loss is not finite."""
        if self.diverged:
            return
        numbers = tuple(np.uint32(n) for n in (self.steps_per_epoch, self.step, n_steps))
        self._carry, _ = run_chunk(
            self.program, None, self._carry, MemberInputs(self.optimizer, self._numbers),
            SharedInputs(self._train), numbers,
        )  # fmt: skip
        self.diverged = int(self._carry.status) == FitStatus.DIVERGED
        self.step = int(self._carry.stopped_at) if self.diverged else self.step + n_steps

    def update_by_hand(self, example: int) -> tuple[Params, Params, Any]:
        """Compute one step with one example: the updates, and parameters and moments after it."""
        config, params = self.config.replace(dropout=False), self.params
        data, rows = self.examples.train, slice(example, example + 1)
        _, grads = value_and_grad(config, self.loss)(
            params, data.x[rows], data.y[rows], l2=self.settings.l2
        )
        updates, moments = self.optimizer.update(grads, self.optimizer_state(), params)
        return updates, apply_updates(params, updates), moments

    def step_by_hand(self, example: int) -> None:
        """Take one step with one example, in place of the batch whose turn it is."""
        self._note_segment(fresh=False, example=example)
        self._take_by_hand(example)
        self._note_segment(fresh=False)
        self.keep()

    def _take_by_hand(self, example: int) -> None:
        _, params, moments = self.update_by_hand(example)
        found = jax.device_put(jax.device_get((params, moments)))  # of strong types, as all others
        self._carry = self._carry._replace(params=found[0], optimizer_state=found[1])
        self.step += 1

    def look(self) -> Look:
        """Compute what a picture shows, on the host."""
        seen: Look = jax.device_get(
            look(
                self.config, self.loss, self._carry.params, self._carry.state, self._train,
                self._test, self._grid, self._numbers.l2, self.examples.grid_shape,
                self.examples.n_classes > 0,
            )
        )  # fmt: skip
        return seen

    def show_grid(self, examples: Examples) -> None:
        """Show another plane through the same examples."""
        self.examples, self._grid = examples, jax.device_put(examples.grid)

    @property
    def params(self) -> Any:
        """The parameters, on the host."""
        return jax.device_get(self._carry.params)

    @property
    def state(self) -> Any:
        """The running statistics, on the host."""
        return jax.device_get(self._carry.state)

    def optimizer_state(self) -> Any:
        """The moments, on the host."""
        return jax.device_get(self._carry.optimizer_state)

    def still(self) -> "Learner":
        """Return a copy that stays where it is while this one goes on."""
        copied = copy(self)
        copied._carry = copy_tree(self._carry)
        return copied

    def keep(self) -> None:
        """Remember where the run stands, unless a snapshot is near for so long a run."""
        apart = 1 + 2 * self.step // _MOST_SNAPSHOTS
        if self.diverged or (self._snapshots and self.step < self._snapshots[-1].step + apart):
            return
        carry = jax.tree.map(np.array, jax.device_get(self._carry))
        self._snapshots.append(_Snapshot(self.step, self.settings, carry))
        if len(self._snapshots) > _MOST_SNAPSHOTS:
            first, *others = self._snapshots
            self._snapshots = [first]
            for one in others:
                if one.step >= self._snapshots[-1].step + apart:
                    self._snapshots.append(one)

    def rewind(self, step: int) -> None:
        """Go back to a step: what it was there, to the bit. What came after it is forgotten."""
        step, wanted = min(step, self.step), self.settings
        while self._snapshots[-1].step > step:
            self._snapshots.pop()
        found = self._snapshots[-1]
        self.step, self.diverged = found.step, False
        self._put_on(found.settings)
        self._carry = copy_tree(jax.device_put(found.carry))  # what is donated is not the snapshot
        self._run_again(step)
        same = _what_is_compiled(self.settings) == _what_is_compiled(wanted)
        self._put_on(wanted)
        if not same:
            self._carry = self._begin(self._carry.params, self._carry.state)
        self.segments = [part for part in self.segments if part.step < step]
        self._note_segment(fresh=not (same and self.segments))
        self.keep()

    def _put_on(self, settings: NetworkSettings) -> None:
        """Take settings of another step, which leave the carry as it is."""
        fresh = _what_is_compiled(self.settings) != _what_is_compiled(settings)
        self.settings = settings
        if fresh:
            self._prepare()
        else:
            self._bind()

    def _run_again(self, step: int) -> None:
        """Run forward to a step that was there, through all changes on the way."""
        parts = [part for part in self.segments if part.step < step]
        for k, part in enumerate(parts):
            end = parts[k + 1].step if k + 1 < len(parts) else step
            if end <= self.step:
                continue
            self._put_on(part.settings)
            if part.fresh and part.step == self.step:
                self._carry = self._begin(self._carry.params, self._carry.state)
            if part.example is not None:
                self._take_by_hand(part.example)
            while self.step < end and not self.diverged:
                self.take(min(end - self.step, self.most_steps))

    def scores(self) -> dict[str, float]:
        """Return loss and accuracy, or RMSE, of both parts, by name."""
        second = "accuracy" if self.examples.n_classes else "rmse"
        names = [f"{part}_{name}" for part in ("train", "test") for name in ("loss", second)]
        return dict(zip(names, map(float, self.look().scores.ravel()), strict=True))

    def model(self, scores: dict[str, float]) -> Model:
        """Return the network as a model that a file keeps."""
        examples = self.examples
        named = self.loss.task == "classification"
        return Model(
            self.config, self.params, self.state, self.settings.loss, examples.preprocessing,
            examples.feature_names, examples.class_names if named else None, scores,
            examples.target_transform,
        )  # fmt: skip


def forget_shapes() -> None:
    """Drop all compiled programs: a shape has them in a dozen functions, each of memory maps."""
    jax.clear_caches()


def _what_is_drawn(settings: NetworkSettings) -> NetworkSettings:
    """The settings without those that leave the parameters as they are."""
    return replace(settings, rule="", numbers={}, batch_size=0, dropout=0.0, l2=0.0)


def _what_is_compiled(settings: NetworkSettings) -> NetworkSettings:
    """The settings without those that are arguments of the program."""
    return replace(settings, numbers={}, l2=0.0, dropout=float(settings.dropout > 0))
