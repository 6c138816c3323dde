from typing import Any

JOINT: int
LOG_POSTERIOR: int
POSTERIOR: int
LARGEST: int
MALFORMED: int
NONFINITE: int
UNDEFINED: int
TILE_ROWS: int
TILE_FEATURES: int

def sparse_rows(*args: Any) -> int: ...
def finish_rows(values: Any, answer: int, start: int, stop: int) -> int: ...
def exp_shifted(values: Any, shift: float) -> None: ...
def category_rows(*args: Any) -> int: ...
def gaussian_rows(*args: Any) -> int: ...
