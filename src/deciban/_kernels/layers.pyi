from collections.abc import Sequence
from typing import Any

ACTIVATIONS: dict[str, int]
LOSSES: dict[str, int]

class Network:
    n_layers: int
    capacity: int
    n_parameters: int
    scratch: int
    n_values: int
    keeps_before: bool
    def __init__(self, sizes: Sequence[int], activations: Sequence[int], capacity: int) -> None: ...
    def values(self, index: int, buffer: Any, n_rows: int) -> Any: ...
    def coef(self, index: int, parameters: Any) -> Any: ...
    def intercept(self, index: int, parameters: Any) -> Any: ...

apply_network: Any
propagate: Any
apply_activation: Any
apply_slope: Any
evaluate_loss: Any
evaluate_softmax_loss: Any
step_adam: Any
step_sgd: Any
dropout: Any
