from typing import Any

from numpy.random import BitGenerator

from deciban._kernels.layers import Network
from deciban._kernels.team import Team

BERNOULLI: int
GAUSSIAN: int
MULTINOMIAL: int

class Plan:
    encoder: Network
    decoder: Network
    capacity: int
    n_parameters: int
    work: int
    def __init__(self, encoder: Network, decoder: Network, likelihood: int, n_labels: int, sparse: bool) -> None: ...

def train(
    team: Team,
    bit_generator: BitGenerator,
    plan: Plan,
    X: Any,
    data: Any,
    scaled: Any,
    indices: Any,
    indptr: Any,
    codes: Any,
    order: Any,
    betas: Any,
    pieces: Any,
    n_encoder_pieces: int,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    step: int,
    parameters: Any,
    gradients: Any,
    first_moment: Any,
    second_moment: Any,
    work: Any,
    losses_out: Any,
) -> None: ...
def bounds(
    plan: Plan,
    X: Any,
    data: Any,
    scaled: Any,
    indices: Any,
    indptr: Any,
    codes: Any,
    order: Any,
    noise: Any,
    parameters: Any,
    work: Any,
    log_likelihood_out: Any,
    log_ratio_out: Any,
    divergence_out: Any,
) -> None: ...
def encode(
    plan: Plan,
    X: Any,
    data: Any,
    scaled: Any,
    indices: Any,
    indptr: Any,
    codes: Any,
    order: Any,
    parameters: Any,
    work: Any,
    out: Any,
) -> None: ...
