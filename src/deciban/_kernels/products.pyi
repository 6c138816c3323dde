from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

HAS_TILES: bool

def multiply_tables(
    X: _Array, X_is_turned: bool, table: _Array, table_is_turned: bool, is_added: bool, out: _Array
) -> None: ...
