from typing import Any

def weight_rows(
    indptr: Any, indices: Any, data: Any, tf: Any, idf: Any, norm: str | None, start: int, stop: int
) -> int: ...
