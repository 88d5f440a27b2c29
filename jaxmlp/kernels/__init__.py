"""Kernels for accelerators, written in Pallas: whole passes of a narrow network in one launch.

They compute what `jaxmlp.network` computes, with its own functions, on the rows that a program of
the kernel holds. On a CPU they run in Pallas's interpret mode, which is slow and there for tests.
"""

from jaxmlp.kernels.fused import value_and_grad_fused as value_and_grad_fused
