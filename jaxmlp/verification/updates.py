"""check_update_rule: does an update rule take the same steps as another, states included?"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.messages import check_language, in_language, joined, phrase
from jaxmlp.types import PyTree
from jaxmlp.verification.causes.failure import fit_factor
from jaxmlp.verification.measurement.functions import float64_arithmetic, named_leaves, promote

_Rule: TypeAlias = tuple[Callable[..., Any], Callable[..., Any]]
"""init(params) -> state, and update(grads, state, params) -> (updates, state)."""
_RTOL = {"float64": 1e-12, "float32": 1e-6}


@dataclass(frozen=True)
class UpdateReport:
    """How two update rules compare, fed the same gradients.

    Attributes:
        passed: whether updates and states agree at every step.
        n_steps: steps that agree, counted from the first.
        where: the leaf that differs first, such as "updates[0].W" or "state.mu[0].W", or "".
        cause: how it differs, in words.
        compared: the parts of the states that were compared, by name.
        notes: what else was noticed.
        language: in which it is said, "en" or "vi".
    """

    passed: bool
    n_steps: int
    where: str = ""
    cause: str = ""
    compared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    language: str = "en"

    def in_language(self, language: str) -> "UpdateReport":
        """Say the same in a language, "en" or "vi"."""
        check_language(language)
        notes = tuple(in_language(note, language) for note in self.notes)
        cause = in_language(self.cause, language)
        return replace(self, cause=cause, notes=notes, language=language)

    def __str__(self) -> str:
        """One line, and the notes."""
        lines = [self._verdict(), *(phrase("note: {note}", note=note) for note in self.notes)]
        return in_language(joined("\n", lines), self.language)

    def _verdict(self) -> str:
        if not self.passed:
            return phrase(
                "update rule: FAIL at step {step}: {where}: {cause}",
                step=self.n_steps + 1,
                where=self.where,
                cause=self.cause,
            )
        if not self.compared:
            return phrase(
                "update rule: PASS ({n} steps; updates and no states agree)", n=self.n_steps
            )
        return phrase(
            "update rule: PASS ({n} steps; updates and states ({states}) agree)",
            n=self.n_steps,
            states=", ".join(self.compared),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def check_update_rule(
    rule: _Rule,
    reference: _Rule,
    params: PyTree,
    grads: Iterable[PyTree] | None = None,
    *,
    n_steps: int = 50,
    seed: int = 0,
    language: str = "en",
) -> UpdateReport:
    """Feed two update rules the same gradients and find the first step at which they part.

    At every step, for every leaf of the updates and of the states,
    |a - b| <= 1e-12 max|b|; both run in float64. Parts of states are matched by their names
    (count, mu, nu, trace, ...), or one by one where the names differ but the shapes agree.

    Args:
        rule: pair (init, update): init(params) -> state, update(grads, state, params) ->
            (updates, state).
        reference: the same, such as `optax.adam(1e-3)`.
        params: any pytree of arrays; moved by the reference's updates.
        grads: one pytree a step; normal random numbers if not given.
        n_steps: how many random gradients to draw.
        seed: of these.
        language: of the report, "en" or "vi".

    Returns:
        A report; `report.passed` is True if nothing differs.

    Raises:
        TypeError: if a rule is not a pair of functions.
        ValueError: if there is nothing to compare (no step, or no parameters), or the language is
            not known.

    Example:
        >>> import optax
        >>> mine = (lambda p: (), lambda g, s, p: (-0.1 * g, s))
        >>> check_update_rule(mine, optax.sgd(0.1), jnp.ones(3)).passed
        True
        >>> wrong = (lambda p: (), lambda g, s, p: (0.1 * g, s))
        >>> check_update_rule(wrong, optax.sgd(0.1), jnp.ones(3)).cause
        '-1 x the reference: the sign is wrong'
    """
    check_language(language)
    if not jax.tree.leaves(params):
        raise ValueError("params has no leaves, so no step can be compared; pass arrays.")
    (init, update), (ref_init, ref_update) = _pair("rule", rule), _pair("reference", reference)
    rtol, notes = _tolerance(rule)
    with float64_arithmetic():
        params = jax.tree.map(jnp.asarray, promote(params))
        state, ref_state = init(params), ref_init(params)
        pairs = _matched(state, ref_state)
        compared = tuple(dict.fromkeys(name.split("[")[0].lstrip(".") for name, _, _ in pairs))
        if not pairs and jax.tree.leaves(state):
            apart = phrase("the states have no parts in common; only the updates are compared")
            notes = (*notes, apart)
        step = -1
        for step, g in enumerate(_gradients(params, grads, n_steps, seed)):
            updates, state = update(g, state, params)
            ref_updates, ref_state = ref_update(g, ref_state, params)
            found = _first_difference(updates, ref_updates, state, ref_state, rtol)
            if found:
                return UpdateReport(False, step, *found, compared, notes).in_language(language)
            params = jax.tree.map(lambda p, u: p + u, params, ref_updates)
    if step < 0:
        what = f"n_steps is {n_steps}" if grads is None else "grads is empty"
        raise ValueError(f"{what}, so no step was compared; give at least one.")
    return UpdateReport(True, step + 1, compared=compared, notes=notes).in_language(language)


def _pair(name: str, rule: _Rule) -> _Rule:
    try:
        init, update = rule
    except (TypeError, ValueError):
        fits = False
    else:
        fits = callable(init) and callable(update)
    if not fits:
        raise TypeError(
            f"{name} is a {type(rule).__name__}, not a pair of functions (init, update), such as "
            "jaxmlp.adam(1e-3) or optax.adam(1e-3)."
        )
    return init, update


def _tolerance(rule: _Rule) -> tuple[float, tuple[str, ...]]:
    """A rule whose hyperparameters were rounded to float32 cannot agree to 1e-12."""
    leaves = [leaf for leaf in jax.tree.leaves(rule) if isinstance(leaf, jax.Array)]
    if not any(leaf.dtype == jnp.float32 for leaf in leaves):
        return _RTOL["float64"], ()
    note = phrase(
        "the rule's hyperparameters are float32, so it is compared to 1e-6 only; make it inside "
        "`with jax.enable_x64(True):` to compare to 1e-12"
    )
    return _RTOL["float32"], (note,)


def _gradients(
    params: PyTree, grads: Iterable[PyTree] | None, n_steps: int, seed: int
) -> Iterator[PyTree]:
    if grads is not None:
        for g in grads:
            yield jax.tree.map(jnp.asarray, promote(g))
        return
    rng = np.random.default_rng(seed)
    for _ in range(n_steps):
        yield jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)


def _matched(state: PyTree, reference: PyTree) -> list[tuple[str, Any, Any]]:
    """Pair the leaves of two states: by field name, else in order where all shapes agree."""
    mine, theirs = _by_field(state), _by_field(reference)
    common = [name for name in mine if name in theirs]
    if common:
        return [(name, mine[name], theirs[name]) for name in common]
    floats = [
        {k: v for k, v in part.items() if jnp.issubdtype(jnp.result_type(v), jnp.floating)}
        for part in (mine, theirs)
    ]
    shapes = [[np.shape(leaf) for leaf in part.values()] for part in floats]
    if shapes[0] != shapes[1]:
        return []
    pairs = zip(floats[0].items(), floats[1].values(), strict=True)
    return [(name, leaf, other) for (name, leaf), other in pairs]


def _by_field(state: PyTree) -> dict[str, Any]:
    """Name leaves from the first field on: optax's chains put positions before it."""
    found: dict[str, Any] = {}
    for name, leaf in named_leaves(state, "").items():
        start = min((name.find(c) for c in (".", "['") if c in name), default=0)
        found.setdefault(name[start:], leaf)
    return found


def _first_difference(
    updates: PyTree, ref_updates: PyTree, state: PyTree, ref_state: PyTree, rtol: float
) -> tuple[str, str] | None:
    """Return (where, how) of the first leaf that differs."""
    mine, theirs = named_leaves(updates, "updates"), named_leaves(ref_updates, "updates")
    if list(mine) != list(theirs):
        return "updates", phrase(
            "has leaves {mine}, but the reference has {theirs}",
            mine=list(mine),
            theirs=list(theirs),
        )
    pairs = [(name, mine[name], theirs[name]) for name in mine]
    pairs = [("state" + name, a, b) for name, a, b in _matched(state, ref_state)] + pairs
    for name, a, b in pairs:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if a.shape != b.shape:
            return name, phrase(
                "has shape {shape}, but the reference {right}", shape=a.shape, right=b.shape
            )
        gap, size = np.abs(a - b), np.abs(b).max(initial=0.0)
        if not (gap <= rtol * size).all():
            return name, _how(a, b, gap)
    return None


def _how(a: np.ndarray, b: np.ndarray, gap: np.ndarray) -> str:
    factor, same = fit_factor(a, b)
    if same:
        times = phrase("{factor:.10g} x the reference", factor=factor)
        known = phrase("the sign is wrong") if np.isclose(factor, -1.0) else ""
        return joined(": ", (times, known))
    worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
    return phrase(
        "differs by up to {gap:.3g}: {mine:.10g} instead of {right:.10g} at {index}",
        gap=gap.max(),
        mine=a[worst],
        right=b[worst],
        index=list(map(int, worst)),
    )
