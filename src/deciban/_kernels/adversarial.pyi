from typing import Any

from numpy.random import BitGenerator

from deciban._kernels.layers import Network
from deciban._kernels.team import Team

NON_SATURATING: int
WASSERSTEIN: int

class Plan:
    generator: Network
    discriminator: Network
    capacity: int
    work: int
    n_directions: int
    def __init__(
        self, generator: Network, discriminator: Network, loss: int, normalised: bool, n_labels: int
    ) -> None: ...

def train(
    threads: Team,
    bit_generator: BitGenerator,
    plan: Plan,
    X: Any,
    codes: Any,
    order: Any,
    discriminator_steps: int,
    generator_pieces: Any,
    discriminator_pieces: Any,
    generator_rate: float,
    discriminator_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    averaging: float,
    step: int,
    generator: Any,
    average: Any,
    generator_gradients: Any,
    generator_first: Any,
    generator_second: Any,
    discriminator: Any,
    used: Any,
    discriminator_gradients: Any,
    discriminator_first: Any,
    discriminator_second: Any,
    directions: Any,
    sigma: Any,
    work: Any,
    losses_out: Any,
) -> None: ...
def normalise(plan: Plan, parameters: Any, directions: Any, sigma: Any, used: Any) -> None: ...
