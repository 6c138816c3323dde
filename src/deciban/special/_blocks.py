"""What the special functions share: how much work a block is, and which arrays may be written to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 1 << 16  # values a block, at least: 50 us, and less than a core's L2
BLOCKS = 32  # of large arrays; between two blocks a thread waits for the interpreter, now and then long


def apart(array: Array, out: Array | None) -> bool:
    """Return whether writing to ``out``, or to the array itself, spoils nothing that has yet to be read."""
    if out is None or not np.may_share_memory(array, out):
        return True
    return array.ctypes.data == out.ctypes.data and array.strides == out.strides
