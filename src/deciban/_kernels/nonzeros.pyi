from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

def multiply_nonzeros(X: _Array, table: _Array, transposed: bool, out: _Array) -> int: ...
