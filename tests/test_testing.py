"""Counting compilations: what is counted, what is not, and what the failure says."""

import jax
import jax.numpy as jnp
import pytest

import jaxmlp
from jaxmlp.testing import assert_compiles, record_compilations
from jaxmlp.verification import assert_gradients


def new_function():
    @jax.jit
    def cube(x):
        return x**3

    return cube


def test_shapes_and_dtypes_are_programs_and_values_are_not():
    cube, rows = new_function(), [jnp.arange(n, dtype=jnp.float32) for n in (2, 3, 2)]
    integers = jnp.arange(2)
    with assert_compiles(3):
        for x in (*rows, integers, rows[0]):
            cube(x)


def test_a_program_counts_where_it_is_compiled():
    cube, other, x = new_function(), jax.jit(jnp.cosh), jnp.ones(5)
    with assert_compiles(1, "cube"), assert_compiles(1, "cosh"), record_compilations() as programs:
        cube(x), other(x)
    assert programs == ["cube", "cosh"]
    with record_compilations() as inner:
        cube.lower(x[:2]).compile()
    assert "cube" in inner
    assert programs == ["cube", "cosh"]  # nothing listens any more


@pytest.mark.parametrize("n", [0, 2])
def test_the_failure_names_the_programs(n):
    cube, x = new_function(), jnp.ones(5)
    message = f"compiled 1 programs, expected {n}.*: cube"
    with pytest.raises(AssertionError, match=message), assert_compiles(n):
        cube(x)


def test_an_error_in_the_block_is_not_hidden():
    with pytest.raises(KeyError, match="own"), assert_compiles(5):
        raise KeyError("own")


def test_the_module_is_there_without_an_import():
    assert jaxmlp.testing.assert_gradients is assert_gradients
