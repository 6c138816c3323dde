from typing import Any

from deciban._kernels.layers import Network

class Trainer:
    n_samples: int
    n_workers: int
    loss: float
    without_weight: bool
    t: int
    multiplications: int
    def __init__(
        self,
        layers: Network,
        X: Any,
        targets: Any,
        weights: Any,
        loss: int,
        limit: float,
        alpha: float,
        dropout: float,
        key: int,
        parameters: Any,
        n_workers: int,
    ) -> None: ...
    def use_adam(
        self,
        first_moment: Any,
        second_moment: Any,
        t: int,
        learning_rate: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> None: ...
    def use_sgd(self, velocity: Any, learning_rate: float, momentum: float, nesterov: bool) -> None: ...
    def use_none(self, gradients: Any) -> None: ...
    def set_learning_rate(self, learning_rate: float) -> None: ...
    def begin(self) -> None: ...
    def open(self) -> None: ...
    def lead(self, order: Any, first_batch: int, last_batch: int) -> None: ...
    def settle(self) -> None: ...
    def help(self, worker: int) -> None: ...
