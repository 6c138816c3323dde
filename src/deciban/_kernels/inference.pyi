from typing import Any

NONFINITE: int
MALFORMED: int
apply_rows: Any
apply_sparse_rows: Any

def few_rows(*args: Any) -> Any: ...
