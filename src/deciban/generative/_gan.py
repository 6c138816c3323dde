"""Generative adversarial networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import Array
from deciban._generation import number_of_samples, seed_of, streams
from deciban._kernels import adversarial, layers
from deciban._kernels.team import Team
from deciban._parallel import blas_on_one_thread, cut, run_blocks
from deciban._sklearn import Interval, StrOptions
from deciban.generative._networks import (
    check_layer_sizes,
    initial_parameters,
    make_network,
    outputs_of,
    pieces,
    tables_of,
    with_labels,
)
from deciban.generative._samples import Samples, make_samples
from deciban.generative._training import GenerativeNetwork, State
from deciban.special import logsumexp

_LOSSES = {"non_saturating": adversarial.NON_SATURATING, "wasserstein": adversarial.WASSERSTEIN}
_RANGES = {"identity": (-np.inf, np.inf), "tanh": (-1.0, 1.0), "logistic": (0.0, 1.0)}
_ROWS = 256  # of a block in inference
_POWER_ITERATIONS = 20  # before training; then one a step, as the coefficients move little


class GAN(GenerativeNetwork):
    """Generative adversarial network: one network makes samples, another tells them from real ones.

    A generator maps noise ``z ~ N(0, I)`` to samples; a discriminator gives samples a score. In turns, batch by batch,
    the discriminator learns to score real samples above generated ones, and the generator to make samples that are
    scored high.

    Parameters
    ----------
    n_components : int, default=64
        Units of noise.
    loss : {"non_saturating", "wasserstein"}, default="non_saturating"
        ``"non_saturating"``: the score is the log-odds that a sample is real; both sides minimise a cross-entropy.
        ``"wasserstein"``: the difference of mean scores estimates a distance of distributions.
    spectral_normalization : bool, default=True
        Whether to keep the discriminator 1-Lipschitz: see Notes. ``"wasserstein"`` has no meaning without.
    averaging : float, default=0.999
        Of the generator's parameters: samples are made by their running average, which at each step keeps this share of
        itself (in the first steps less). 0 to use the last parameters.
    generator_layer_sizes, discriminator_layer_sizes : sequence of int, default=(256,)
        Hidden units.
    activation : str, default="leaky_relu"
        Of hidden layers: identity, logistic, tanh, relu, leaky_relu, softplus or gelu.
    output_activation : {"identity", "tanh", "logistic"}, default="identity"
        Of the generator. Samples have to lie in its range: tanh [-1, 1], logistic [0, 1].
    discriminator_steps : int, default=1
        Steps of the discriminator for each of the generator's.
    batch_size : int, default=128
    learning_rate_init : float, default=1e-3
    discriminator_learning_rate_init : float, default=None
        Another one for the discriminator; None for the same.
    beta_1, beta_2, epsilon : float, default=0.5, 0.999, 1e-8
        Of Adam.
    max_iter : int, default=50
        Epochs.
    random_state : int, RandomState instance or None, default=None
        Of initial parameters, the order of samples, and noise. The same seed gives the same model to the bit on one
        machine, whatever the number of threads.
    verbose : bool, default=False
        Whether to show a progress bar with losses (by tqdm where it is installed).

    Attributes
    ----------
    loss_curve_ : list of dict
        Means an epoch: the losses of ``discriminator`` and ``generator``.
    generator_coefs_, generator_intercepts_, discriminator_coefs_, discriminator_intercepts_ : list of ndarray
        Views of the parameters, as in :class:`sklearn.neural_network.MLPClassifier`: the generator's running average,
        and the discriminator's before spectral normalisation.
    n_iter_ : int
        Epochs run.
    n_features_in_ : int
    classes_ : ndarray of shape (n_classes,)
        Labels, where y was given: both networks then see the label of a sample, one-hot.
    class_count_ : ndarray of shape (n_classes,)
        Training samples of each.

    Notes
    -----
    A discriminator that may be as steep as it likes soon tells all real samples from all generated ones, and then its
    slope says little about where to go: the generator settles on a few kinds of samples. Spectral normalisation divides
    coefficients by their largest singular value, which bounds the slope by one everywhere, for any activation of slope
    at most one, at the cost of two products of a matrix and a vector. (A gradient penalty would need derivatives of
    derivatives, at about twice the cost, and would bound the slope only where it is looked at.) The generator circles
    around what it learns; the average of its parameters lies nearer to the middle.

    Computed in float32 unless samples are float64; memory is for one batch, the parameters and their moments.

    References
    ----------
    I. Goodfellow et al., Generative adversarial nets, NIPS 2014.

    T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, Spectral normalization for generative adversarial networks, ICLR 2018.

    Y. Yazici et al., The unusual effectiveness of averaging in GAN training, ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from deciban.generative import GAN
    >>> X = load_digits().data.astype(np.float32) / 16
    >>> model = GAN(16, output_activation="logistic", max_iter=3, random_state=0).fit(X)
    >>> images, _ = model.sample(16, random_state=0)
    >>> images.shape
    (16, 64)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GenerativeNetwork._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions(set(_LOSSES))],
        "spectral_normalization": ["boolean"],
        "averaging": [Interval(Real, 0, 1, closed="left")],
        "generator_layer_sizes": ["array-like"],
        "discriminator_layer_sizes": ["array-like"],
        "output_activation": [StrOptions(set(_RANGES))],
        "discriminator_steps": [Interval(Integral, 1, None, closed="left")],
        "discriminator_learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        loss: str = "non_saturating",
        spectral_normalization: bool = True,
        averaging: float = 0.999,
        generator_layer_sizes: Sequence[int] = (256,),
        discriminator_layer_sizes: Sequence[int] = (256,),
        activation: str = "leaky_relu",
        output_activation: str = "identity",
        discriminator_steps: int = 1,
        batch_size: int = 128,
        learning_rate_init: float = 1e-3,
        discriminator_learning_rate_init: float | None = None,
        beta_1: float = 0.5,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        max_iter: int = 50,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.spectral_normalization = spectral_normalization
        self.averaging = averaging
        self.generator_layer_sizes = generator_layer_sizes
        self.discriminator_layer_sizes = discriminator_layer_sizes
        self.activation = activation
        self.output_activation = output_activation
        self.discriminator_steps = discriminator_steps
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.discriminator_learning_rate_init = discriminator_learning_rate_init
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def sample(
        self, n_samples: int | None = None, *, random_state: Any = None, y: Any = None
    ) -> tuple[Array, Array | None]:
        """Draw samples.

        Parameters
        ----------
        n_samples : int, default=None
            How many; None for as many as there are labels in ``y``, or one.
        random_state : int, RandomState instance or None, default=None
            The same seed draws the same samples, whatever the number of threads.
        y : label or array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them; None draws them as often as in training.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,) or None
            Labels, if the model is conditional on them.
        """
        check_is_fitted(self)
        n_samples = number_of_samples(n_samples, y)
        seed = seed_of(random_state)
        codes = self._codes_to_sample(n_samples, y, seed)
        generator = self._state.average
        blocks = cut(n_samples, _ROWS)
        generators = [np.random.Generator(stream) for stream in streams(seed, len(blocks))]
        network = self._networks(_ROWS)[0]
        X = np.empty((n_samples, self.n_features_in_), generator.dtype)

        def task(block: int, _: int) -> None:
            start, stop = blocks[block]
            noise = generators[block].standard_normal((stop - start, self.n_components)).astype(generator.dtype)
            inputs = with_labels(noise, None if codes is None else codes[start:stop], self._n_labels)
            X[start:stop] = outputs_of(network, generator, inputs)

        with blas_on_one_thread():
            run_blocks(task, len(blocks))
        return X, None if codes is None else self.classes_[codes]

    def score_samples(self, X: Any, y: Any = None) -> Array:
        """Return the discriminator's score of every sample: the log-odds that it is real, by ``"non_saturating"``.

        It is a judgement of samples against this generator's, not a likelihood.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them. None averages over the classes, as often as in training:
            odds, or with ``"wasserstein"`` scores.

        Returns
        -------
        score : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = np.ascontiguousarray(self._check_features(X, reset=False), self._state.parameters[0].dtype)
        found = [self._judge(X, codes) for codes in self._codes_to_judge(len(X), y)]
        if len(found) == 1:
            return found[0]
        scores = np.stack(found, axis=1)
        if self.loss == "wasserstein":
            return scores @ (self.class_count_ / self.class_count_.sum())
        return logsumexp(scores + self._log_prior(), axis=1)

    # --- fitted parameters

    def _sizes(self) -> tuple[list[int], list[int]]:
        noise, features = self.n_components + self._n_labels, self.n_features_in_
        generator = [noise, *map(int, self.generator_layer_sizes), features]
        return generator, [features + self._n_labels, *map(int, self.discriminator_layer_sizes), 1]

    def _networks(self, capacity: int) -> tuple[layers.Network, layers.Network]:
        generator, discriminator = self._sizes()
        return (
            make_network(generator, self.activation, self.output_activation, capacity),
            make_network(discriminator, self.activation, "identity", 2 * capacity),
        )

    def _part(self, name: str) -> tuple[layers.Network, Array]:
        generator, discriminator = self._networks(1)
        if name == "generator":
            return generator, self._state.average
        return discriminator, self._state.parameters[1]

    generator_coefs_ = tables_of("generator", "coef")
    generator_intercepts_ = tables_of("generator", "intercept")
    discriminator_coefs_ = tables_of("discriminator", "coef")
    discriminator_intercepts_ = tables_of("discriminator", "intercept")

    # --- training

    def _samples(self, X: Any, codes: Array | None) -> Samples:
        low, high = _RANGES[self.output_activation]
        if X.size and not (low <= X.min() and X.max() <= high):
            raise ValueError(
                f"samples must lie in the range of output_activation={self.output_activation!r}, [{low}, {high}], got "
                f"values from {X.min()} to {X.max()}"
            )
        return make_samples(X, codes, unit_rows=False)

    def _initial_state(self, samples: Samples, seed: np.random.SeedSequence) -> State:
        check_layer_sizes("generator_layer_sizes", self.generator_layer_sizes)
        check_layer_sizes("discriminator_layer_sizes", self.discriminator_layer_sizes)
        if self.loss == "wasserstein" and not self.spectral_normalization:
            raise ValueError("loss='wasserstein' needs spectral_normalization=True: without, it has no minimum")
        rng = np.random.Generator(streams(seed, 1)[0])
        state = State([initial_parameters(own, self.activation, rng, samples.dtype) for own in self._sizes()], seed)
        generator, discriminator = state.parameters
        state.average = generator.copy()
        state.used, state.directions, state.sigma = discriminator, np.empty(0, samples.dtype), np.empty(0)
        if self.spectral_normalization:
            plan = self._plan(1)
            state.used = np.empty_like(discriminator)
            state.directions = rng.standard_normal(plan.n_directions).astype(samples.dtype)
            state.sigma = np.empty(len(self._sizes()[1]) - 1)
            for _ in range(_POWER_ITERATIONS):
                adversarial.normalise(plan, discriminator, state.directions, state.sigma, state.used)
        return state

    def _plan(self, capacity: int) -> adversarial.Plan:
        networks = self._networks(capacity)
        return adversarial.Plan(*networks, _LOSSES[self.loss], self.spectral_normalization, self._n_labels)

    def _training(self, samples: Samples) -> Callable[[Team, Array, int, int], Array]:
        size = self._batch(samples)
        plan, state = self._plan(size), self._state
        generator, discriminator = state.parameters
        gradients = [np.zeros_like(own) for own in state.parameters]
        generator_pieces, discriminator_pieces = (pieces(sizes) for sizes in self._sizes())
        work = np.zeros(plan.work, samples.dtype)

        def run(team: Team, order: Array, first: int, last: int) -> Array:
            losses = np.empty((last - first, 3))
            adversarial.train(
                team,
                state.noise,
                plan,
                samples.X,
                samples.codes,
                order[first * size : last * size],
                self.discriminator_steps,
                generator_pieces,
                discriminator_pieces,
                self.learning_rate_init,
                self.discriminator_learning_rate_init or self.learning_rate_init,
                self.beta_1,
                self.beta_2,
                self.epsilon,
                self.averaging,
                state.step,
                generator,
                state.average,
                gradients[0],
                state.first_moments[0],
                state.second_moments[0],
                discriminator,
                state.used,
                gradients[1],
                state.first_moments[1],
                state.second_moments[1],
                state.directions,
                state.sigma,
                work,
                losses,
            )
            state.step += last - first
            return losses.sum(axis=0)

        return run

    def _summary(self, totals: Array, n_samples: int) -> dict[str, float]:
        discriminator, generator, rows = totals.tolist()
        before = self.loss_curve_[-1]["generator"] if self.loss_curve_ else 0.0
        # an epoch of fewer batches than the generator waits for says nothing new of it
        return {"discriminator": discriminator / n_samples, "generator": generator / rows if rows else before}

    # --- inference

    def _judge(self, X: Array, codes: Array | None) -> Array:
        network = self._networks(_ROWS)[1]
        blocks = cut(len(X), _ROWS)
        scores = np.empty(len(X))

        def task(block: int, _: int) -> None:
            rows = slice(*blocks[block])
            inputs = with_labels(X[rows], None if codes is None else codes[rows], self._n_labels)
            scores[rows] = outputs_of(network, self._state.used, inputs)[:, 0]

        with blas_on_one_thread():
            run_blocks(task, len(blocks))
        return scores
