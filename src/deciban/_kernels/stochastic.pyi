from typing import Any

(
    T,
    ETA,
    INTERCEPT,
    AVERAGE_INTERCEPT,
    SCALE,
    MIX,
    SHARE,
    SQUARES,
    MAGNITUDES,
    DEBT,
    OBJECTIVE,
    KEPT,
    KEPT_MIX,
    KEPT_SHARE,
    N_STATE,
) = range(15)

class Descent:
    def __init__(
        self,
        loss: str,
        rate: str,
        alpha: float,
        l1_ratio: float,
        decays: bool,
        truncates: bool,
        eta0: float,
        power_t: float,
        epsilon: float,
        fit_intercept: bool,
        intercept_decay: float,
        average: float,
        objective: int,
    ) -> None: ...

def shuffle_seeds(seeds: Any, out: Any) -> None: ...
def permutation(seed: int, out: Any) -> None: ...
def localise(indices: Any, n_features: int, place: Any, local_out: Any, features_out: Any) -> int: ...
def gather(table: Any, features: Any, start: int, stop: int, out: Any) -> None: ...
def scatter(local: Any, features: Any, start: int, stop: int, table_out: Any) -> None: ...
def settle(weights: Any, averages: Any, start: int, stop: int, state: Any) -> None: ...
def epoch(*args: Any) -> bool: ...
