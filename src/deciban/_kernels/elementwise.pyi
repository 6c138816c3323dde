from typing import Any

import numpy as np

EXPIT: int
LOG_EXPIT: int
LOGIT: int
ENTR: int
XLOGY: int
REL_ENTR: int
KL_DIV: int

expit: np.ufunc
log_expit: np.ufunc
logit: np.ufunc
entr: np.ufunc
xlogy: np.ufunc
rel_entr: np.ufunc
kl_div: np.ufunc

def at_once(function: int, x: Any, y: Any, out: Any) -> Any: ...
def in_rows(ufunc: np.ufunc, arrays: list[np.ndarray[Any, Any]]) -> None: ...
