"""Runs on several devices: a network that is spread over them, or rows that are divided."""

import warnings
from dataclasses import replace
from typing import Any

import jax

from jaxmlp.config import MLPConfig
from jaxmlp.distributed import agreed, data_mesh, everywhere, is_first
from jaxmlp.networks import mlp_of
from jaxmlp.sharding import ShardingPlan
from jaxmlp.training.options import TrainingSpec
from jaxmlp.training.parallel import spread_data
from jaxmlp.training.program import Program
from jaxmlp.training.runner import Runner

_FLOP_RATE, _LATENCY, _BANDWIDTH = 2e11, 1.5e-3, 7e8
_WORTH = 1.2  # times as fast; below that it is not worth the trouble


def spread_network(run: Runner, plan: ShardingPlan) -> None:
    """Put a run on the devices of a plan: its network as planned, of all else a copy on each."""
    config, size = run.program.config, run.program.batch_size
    if not isinstance(plan, ShardingPlan):
        raise TypeError(f"sharding is {plan!r:.60}; pass jaxmlp.sharding.plan(config, mesh, kind).")
    kinds: list[Any] = [jax.tree.structure(tree) for tree in (plan.params, run.carry.params)]
    if not isinstance(config, MLPConfig) or kinds[0] != kinds[1]:
        raise ValueError("sharding is the plan of another network; make it with this config.")
    if size % plan.n_data:
        raise ValueError(
            f"a batch of {size} rows does not divide among {plan.n_data} devices of the axis "
            "'data'; choose a batch_size that is a multiple."
        )
    run.program = replace(run.program, sharding=plan, turned=False)
    run.carry = plan.place(run.carry, run.program.frozen)
    run.members, run.shared = plan.place((run.members, run.shared))


def divide_rows(
    spec: TrainingSpec, program: Program, drop_last: bool
) -> tuple[TrainingSpec, Program, int]:
    """Divide the rows of every process, and so of every batch, among all devices.

    Args:
        spec: of this process, with its own rows.
        program: of one device.
        drop_last: whether rows that fill no batch are left out, which is refused.

    Returns:
        The spec with the rows of all, the program for all devices, and the steps of an epoch: of
        the device with most rows; the others fill up with rows of weight 0.

    Raises:
        ValueError: for what looks at a whole batch, or a batch that does not divide evenly.
    """
    mesh, regression = data_mesh(), spec.loss.task == "regression"
    n_devices = mesh.size
    if drop_last:
        raise ValueError("drop_last leaves out rows of one device; leave it or distributed out.")
    if any(mlp_of(spec.config).normalized):
        raise ValueError(
            "batch normalization looks at a whole batch, whose rows are on several devices; leave "
            "batch_norm or distributed out."
        )
    if program.probe is not None:
        raise ValueError("probe and diagnostics look at one device; leave distributed out.")
    train, fullest = spread_data(mesh, spec.train, regression)
    validation = spec.validation
    if validation is not None:
        validation, _ = spread_data(mesh, validation, regression)
    size = len(train.x) // n_devices if spec.batch_size is None else spec.batch_size // n_devices
    if spec.batch_size is not None and (not size or spec.batch_size % n_devices):
        raise ValueError(
            f"a batch of {spec.batch_size} rows does not divide among {n_devices} devices; choose "
            "a batch_size that is a multiple."
        )
    _warn_of_cost(spec, size, n_devices)
    zero_weights = bool(agreed(spec.zero_weights)[0])
    program = replace(program, batch_size=size, mesh=mesh, empty_batches=zero_weights)
    spec = replace(spec, train=train, validation=validation)
    return spec, program, -(-fullest // size)


def predicted_gain(n_parameters: int, n_rows: int, n_devices: int) -> float:
    """Predict how many times as fast a step is, on so many processors that each have one core.

    t_1 = 6 rows parameters / r;  t_n = t_1 / n + latency + 4 parameters / bandwidth.

    Args:
        n_parameters: of the network.
        n_rows: of a batch, over all devices.
        n_devices: how many there are.

    Returns:
        t_1 / t_n, with what was measured between processes of one busy machine: r = 200 GFLOP/s,
        1.5 ms, 0.7 GB/s.

    Example:
        >>> round(predicted_gain(8_396_800, 4096, 2), 2), round(predicted_gain(9_610, 256, 2), 2)
        (1.82, 0.05)
    """
    alone = 6 * n_rows * n_parameters / _FLOP_RATE
    return alone / (alone / n_devices + _LATENCY + 4 * n_parameters / _BANDWIDTH)


def _warn_of_cost(spec: TrainingSpec, size: int, n_devices: int) -> None:
    """Say so where dividing the rows is predicted not to pay."""
    if jax.process_count() == 1 or jax.default_backend() != "cpu":
        return
    gain = predicted_gain(spec.config.n_parameters, size * n_devices, n_devices)
    if gain < _WORTH and is_first():
        warnings.warn(
            f"dividing {size * n_devices} rows among {n_devices} processors is predicted to make a "
            f"step {gain:.2g} times as fast as one processor, since the sum of the gradients takes "
            "its time. Larger batches gain; else use one processor, or a sweep, which spreads "
            "networks instead of rows.",
            stacklevel=2,
        )


def copy_everywhere(run: Runner) -> None:
    """Put a copy of where a run stands, and of what it is called with, on every device."""
    mesh = run.program.mesh
    assert mesh is not None
    run.carry, run.members = everywhere(mesh, (run.carry, run.members))
