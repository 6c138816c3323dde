"""What the special functions share: how much work a block is."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 1 << 16  # values a block, at least: 50 us, and less than a core's L2
BLOCKS = 32  # of large arrays; between two blocks a thread waits for the interpreter, now and then long
