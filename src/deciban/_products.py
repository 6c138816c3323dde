"""Products of dense matrices, on threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deciban._kernels.products import HAS_TILES, multiply_tables
from deciban._parallel import blas_on_one_thread, cut, run_blocks

Array = npt.NDArray[Any]

_ROWS = 128  # of one matrix by all of another, which is copied once for them


def products(P: Array, Q: Array) -> Array:
    """Return P @ Q.T of dense rows, in single precision if both are."""
    dtype = np.result_type(P, Q)
    P, Q = np.ascontiguousarray(P, dtype), np.ascontiguousarray(Q, dtype)
    out = np.empty((len(P), len(Q)), dtype)
    if HAS_TILES and len(P) <= _ROWS:
        multiply_tables(P, False, Q, True, False, out)
        return out
    blocks = cut(len(P), _ROWS)
    with blas_on_one_thread():  # which makes the products where the processor has no wide registers
        run_blocks(
            lambda block, _: multiply_tables(
                P[slice(*blocks[block])], False, Q, True, False, out[slice(*blocks[block])]
            ),
            len(blocks),
        )
    return out
