from typing import Any

ENTROPY: int
CROSS: int
KL: int
JS: int

def dense_rows(
    measure: int, P: Any, Q: Any, normalize: bool, weights: Any, start: int, stop: int, out: Any
) -> None: ...
def at_once(measure: int, p: Any, q: Any, normalize: bool, unit: float) -> Any: ...
def pairs(measure: int, P: Any, Q: Any, start: int, stop: int, out: Any) -> None: ...
