"""Variational autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import Array
from deciban._generation import document_lengths, number_of_samples, seed_of, sparse_samples, streams
from deciban._kernels import layers, variational
from deciban._kernels.team import Team
from deciban._parallel import blas_on_one_thread, cut, effective_n_threads, run_blocks
from deciban._sklearn import Interval, StrOptions
from deciban.generative._likelihoods import (
    LIKELIHOODS,
    OUTPUTS,
    check_values,
    draw_bernoulli,
    draw_documents,
    draw_gaussian,
    intercepts_of,
)
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

_VALUES = 1 << 20  # of a block of rows in inference, at most, in the widest layer
_ROWS = 256


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GenerativeNetwork):
    """Variational autoencoder: a latent normal variable, a network that decodes it, and one that infers it.

    ``z ~ N(0, I)``, ``x ~ p(x | z)`` whose parameters a decoder makes of z; an encoder makes of x the mean and the
    variances of a normal distribution of z, ``q(z | x)``. Both learn together, by the evidence lower bound
    ``log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z))``.

    Parameters
    ----------
    n_components : int, default=2
        Latent units.
    likelihood : {"gaussian", "bernoulli", "multinomial"}, default="gaussian"
        Of samples given z. Gaussian: real features, each with a variance of its own that is learned, of at least
        exp(-12). Scale them first, as by :class:`sklearn.preprocessing.StandardScaler`: the encoder sees them as they
        are, and a step of Adam is of one size for all. Bernoulli: values in [0, 1]; those in between count as shares of
        on and off.
        Multinomial: counts, such as words in documents.
    hidden_layer_sizes : sequence of int, default=(100,)
        Hidden units of the encoder, from the samples on; the decoder's are the same, the other way round.
    activation : str, default="relu"
        Of hidden layers: identity, logistic, tanh, relu, leaky_relu, softplus or gelu.
    beta : float, default=1.0
        Weight of the divergence in the loss; more than 1 asks for a simpler latent space.
    warm_up : int, default=0
        Epochs over which that weight rises from 0, so that the latent units are not given up before they are of use.
    n_draws : int, default=16
        Draws of z for each sample in ``score_samples``.
    batch_size : int, default=128
    learning_rate_init : float, default=1e-3
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
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
        Means over the samples, an epoch each: ``loss`` (``reconstruction`` + beta ``divergence``), ``reconstruction``,
        which is ``-log p(x | z)``, and ``divergence``.
    encoder_coefs_, encoder_intercepts_, decoder_coefs_, decoder_intercepts_ : list of ndarray
        Views of the parameters, as in :class:`sklearn.neural_network.MLPClassifier`.
    noise_variance_ : ndarray of shape (n_features,)
        Of each feature given z (Gaussian).
    n_iter_ : int
        Epochs run.
    n_features_in_ : int
    classes_ : ndarray of shape (n_classes,)
        Labels, where y was given: encoder and decoder then see the label of a sample, one-hot.
    class_count_ : ndarray of shape (n_classes,)
        Training samples of each.

    Notes
    -----
    Computed in float32 unless samples are float64. Sparse samples are never made dense as a whole: memory is for one
    batch, the parameters and their moments. A batch of word counts costs O(entries x hidden units) in the encoder's
    first layer; the decoder's softmax and the optimiser are over the whole vocabulary.

    Word counts go into the encoder with rows scaled to unit length; as in :class:`deciban.naive_bayes.MultinomialNB`
    their likelihood is that of the words in one given order.

    References
    ----------
    D. P. Kingma, M. Welling, Auto-encoding variational Bayes, ICLR 2014.

    Y. Burda, R. Grosse, R. Salakhutdinov, Importance weighted autoencoders, ICLR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from deciban.generative import VAE
    >>> X = load_digits().data.astype(np.float32) / 16
    >>> model = VAE(8, likelihood="bernoulli", max_iter=3, random_state=0).fit(X)
    >>> model.transform(X[:5]).shape
    (5, 8)
    >>> images, _ = model.sample(16, random_state=0)
    >>> images.shape
    (16, 64)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GenerativeNetwork._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "likelihood": [StrOptions(set(LIKELIHOODS))],
        "hidden_layer_sizes": ["array-like"],
        "beta": [Interval(Real, 0, None, closed="left")],
        "warm_up": [Interval(Integral, 0, None, closed="left")],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
    }
    _accepts_sparse = True
    _n_features_out: int

    def __init__(
        self,
        n_components: int = 2,
        *,
        likelihood: str = "gaussian",
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str = "relu",
        beta: float = 1.0,
        warm_up: int = 0,
        n_draws: int = 16,
        batch_size: int = 128,
        learning_rate_init: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        max_iter: int = 50,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.likelihood = likelihood
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.beta = beta
        self.warm_up = warm_up
        self.n_draws = n_draws
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.likelihood != "gaussian"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def transform(self, X: Any, y: Any = None) -> Array:
        """Return the mean of the latent variables given each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them; None for the likeliest by the bound.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
        """
        samples = self._samples_to_judge(X, y)
        if len(samples) > 1:
            scores = [self._bound(own) for own in samples]
            best = np.argmax(np.stack(scores) + self._log_prior()[:, np.newaxis], axis=0)
            samples = [samples[0]._replace(codes=best.astype(np.int32))]
        (found,) = samples
        n, parameters = self.n_components, self._parameters()
        plan, rows, room = self._inference(found)
        Z = np.empty((found.n_samples, 2 * n), parameters.dtype)
        blocks = cut(found.n_samples, rows)

        def task(block: int, worker: int) -> None:
            order = np.arange(*blocks[block])
            variational.encode(plan, *found, order, parameters, room[worker], Z[slice(*blocks[block])])

        with blas_on_one_thread():
            run_blocks(task, len(blocks), len(room))
        return np.ascontiguousarray(Z[:, :n])

    def inverse_transform(self, Z: Any, y: Any = None) -> Array:
        """Return the mean of a sample given the latent variables.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
        y : label or array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Gaussian: means. Bernoulli: probabilities. Multinomial: the shares of each word.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=self._parameters().dtype, order="C", input_name="Z")
        if Z.shape[1] != self.n_components:
            raise ValueError(f"Z must have {self.n_components} components, got {Z.shape[1]}")
        return self._decode(Z, self._codes_for(len(Z), y))

    def sample(
        self,
        n_samples: int | None = None,
        *,
        random_state: Any = None,
        y: Any = None,
        mean: bool = False,
        length: Any = None,
    ) -> tuple[Any, Array | None]:
        """Draw samples: latent variables from the prior, then a sample from the likelihood.

        Parameters
        ----------
        n_samples : int, default=None
            How many; None for as many as there are labels in ``y``, or one.
        random_state : int, RandomState instance or None, default=None
            The same seed draws the same samples, whatever the number of threads.
        y : label or array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them; None draws them as often as in training.
        mean : bool, default=False
            Return the mean of each sample given its latent variables, without the likelihood's noise: the usual way to
            look at images.
        length : int or array-like of int of shape (n_samples,), default=None
            Words in each document (multinomial). None draws lengths from the Poisson distribution with the mean of the
            training documents.

        Returns
        -------
        X : {ndarray, sparse matrix} of shape (n_samples, n_features)
            Documents are CSR.
        y : ndarray of shape (n_samples,) or None
            Labels, if the model is conditional on them.
        """
        check_is_fitted(self)
        n_samples = number_of_samples(n_samples, y)
        seed = seed_of(random_state)
        codes = self._codes_to_sample(n_samples, y, seed)
        labels = None if codes is None else self.classes_[codes]
        documents = self.likelihood == "multinomial" and not mean
        if length is not None and not documents:
            raise ValueError("only documents, drawn of a multinomial likelihood, have a length")
        lengths = document_lengths(length, n_samples)
        dtype, n_features = self._parameters().dtype, self.n_features_in_
        blocks = cut(n_samples, self._rows_together())
        generators = [np.random.Generator(stream) for stream in streams(seed, len(blocks))]
        X = np.empty((0 if documents else n_samples, n_features), dtype)
        made: list[Any] = [None] * len(blocks)

        def task(block: int, _: int) -> None:
            start, stop = blocks[block]
            rng = generators[block]
            Z = rng.standard_normal((stop - start, self.n_components)).astype(dtype)
            found = self._decode(Z, None if codes is None else codes[start:stop])
            if documents:
                chosen = (
                    rng.poisson(self.mean_length_, stop - start).astype(np.int64)
                    if lengths is None
                    else lengths[start:stop]
                )
                made[block] = np.arange(start, stop), draw_documents(rng.bit_generator, found, chosen)
            elif mean:
                X[start:stop] = found
            elif self.likelihood == "bernoulli":
                X[start:stop] = draw_bernoulli(rng, found)
            else:
                X[start:stop] = draw_gaussian(rng, found, self.noise_variance_)

        with blas_on_one_thread():
            run_blocks(task, len(blocks))
        return (sparse_samples(made, n_samples, n_features) if documents else X), labels

    def score_samples(self, X: Any, y: Any = None) -> Array:
        """Return a lower bound of the log-likelihood of every sample.

        The importance-weighted bound of ``n_draws`` draws, ``log mean_k p(x | z_k) p(z_k) / q(z_k | x)``, is below
        ``log p(x)`` on average over draws, and comes the closer the more there are; one draw gives the evidence lower
        bound. Every sample sees the same noise, so that the answer does not depend on its neighbours, nor on the call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), default=None
            Labels: the bound is then of ``log p(x | y)``. None for ``log p(x)``, over all classes if there are any.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            In nats.
        """
        samples = self._samples_to_judge(X, y)
        if len(samples) == 1:
            return self._bound(samples[0])
        joint = np.stack([self._bound(own) for own in samples], axis=1) + self._log_prior()
        return logsumexp(joint, axis=1)

    def evidence_lower_bound(self, X: Any, y: Any = None) -> Array:
        """Return ``E_q log p(x | z) - KL(q(z | x) || p(z))``, the expectation by ``n_draws`` draws.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            In nats: below ``log p(x)``, or ``log p(x | y)`` where labels are given.
        """
        samples = self._samples_to_judge(X, y)
        found = []
        for own in samples:
            log_likelihood, _, divergence = self._judge(own)
            found.append(log_likelihood.mean(axis=1) - divergence)
        if len(found) == 1:
            return found[0]
        return logsumexp(np.stack(found, axis=1) + self._log_prior(), axis=1)

    # --- fitted parameters

    def _parameters(self) -> Array:
        return self._state.parameters[0]

    def _sizes(self) -> tuple[list[int], list[int]]:
        hidden = [int(size) for size in self.hidden_layer_sizes]
        n_labels = self._n_labels
        encoder = [self.n_features_in_ + n_labels, *hidden, 2 * self.n_components]
        return encoder, [self.n_components + n_labels, *hidden[::-1], self.n_features_in_]

    def _networks(self, capacity: int, output: str = "identity") -> tuple[layers.Network, layers.Network]:
        encoder, decoder = self._sizes()
        return (
            make_network(encoder, self.activation, "identity", capacity),
            make_network(decoder, self.activation, output, capacity),
        )

    def _part(self, name: str) -> tuple[layers.Network, Array]:
        encoder, decoder = self._networks(1)
        parameters, n_encoder = self._parameters(), encoder.n_parameters
        if name == "encoder":
            return encoder, parameters[:n_encoder]
        return decoder, parameters[n_encoder : n_encoder + decoder.n_parameters]

    encoder_coefs_ = tables_of("encoder", "coef")
    encoder_intercepts_ = tables_of("encoder", "intercept")
    decoder_coefs_ = tables_of("decoder", "coef")
    decoder_intercepts_ = tables_of("decoder", "intercept")

    @property
    def noise_variance_(self) -> Array:
        """Variance of each feature given z."""
        check_is_fitted(self)
        if self.likelihood != "gaussian":
            raise AttributeError("only a Gaussian likelihood has noise_variance_")
        return np.exp(self._parameters()[-self.n_features_in_ :])

    # --- training

    def _samples(self, X: Any, codes: Array | None) -> Samples:
        samples = make_samples(X, codes, unit_rows=self.likelihood == "multinomial")
        check_values(self.likelihood, samples.values)
        return samples

    def _initial_state(self, samples: Samples, seed: np.random.SeedSequence) -> State:
        check_layer_sizes("hidden_layer_sizes", self.hidden_layer_sizes)
        self._n_features_out = self.n_components
        first, judge = seed.spawn(2)
        rng = np.random.Generator(np.random.PCG64(first))
        encoder, decoder = (initial_parameters(sizes, self.activation, rng, np.float64) for sizes in self._sizes())
        # begin where the latent variables mean nothing, and the decoder's intercepts say how samples are on average
        mean, variance = samples.mean_and_variance(self.n_features_in_)
        decoder[-len(mean) :] = intercepts_of(self.likelihood, mean, samples.n_samples)
        if self.likelihood == "multinomial":
            self.mean_length_ = float(mean.sum())
        parts = [encoder, decoder]
        if self.likelihood == "gaussian":
            # on each feature's own scale: a constant one, of least variance, would shout down all others
            self._networks(1)[1].coef(-1, decoder)[:] *= np.sqrt(variance)
            parts.append(np.log(np.maximum(variance, np.exp(-12))))
        self._judging = judge
        return State([np.concatenate(parts).astype(samples.dtype)], seed)

    def _plan(self, capacity: int, sparse: bool) -> variational.Plan:
        n_labels = self._n_labels
        return variational.Plan(*self._networks(capacity), LIKELIHOODS[self.likelihood], n_labels, sparse)

    def _training(self, samples: Samples) -> Callable[[Team, Array, int, int], Array]:
        size = self._batch(samples)
        plan = self._plan(size, samples.sparse)
        state = self._state
        parameters = state.parameters[0]
        work, gradients = np.zeros(plan.work, samples.dtype), np.zeros_like(parameters)
        encoder, decoder = self._sizes()
        own = pieces(encoder, first_given=samples.sparse)
        every = np.concatenate([own, pieces(decoder)])
        steps_of_warm_up = self.warm_up * -(-samples.n_samples // size)

        def run(team: Team, order: Array, first: int, last: int) -> Array:
            done = state.step + np.arange(last - first)
            betas = self.beta * np.minimum(1.0, (done + 1) / max(1, steps_of_warm_up))
            losses = np.empty((last - first, 2))
            variational.train(
                team,
                state.noise,
                plan,
                *samples,
                order[first * size : last * size],
                betas,
                every,
                len(own),
                self.learning_rate_init,
                self.beta_1,
                self.beta_2,
                self.epsilon,
                state.step,
                parameters,
                gradients,
                state.first_moments[0],
                state.second_moments[0],
                work,
                losses,
            )
            state.step += last - first
            return np.array([*losses.sum(axis=0), betas @ losses[:, 1]])

        return run

    def _summary(self, totals: Array, n_samples: int) -> dict[str, float]:
        reconstruction, divergence, weighted = (totals / n_samples).tolist()
        return {"loss": reconstruction + weighted, "reconstruction": reconstruction, "divergence": divergence}

    # --- inference

    def _rows_together(self) -> int:
        return max(1, min(_ROWS, _VALUES // max(self._sizes()[1])))

    def _inference(self, samples: Samples) -> tuple[variational.Plan, int, list[Array]]:
        """Return a plan for blocks of rows, how many those are, and buffers for each thread."""
        rows = self._rows_together()
        plan = self._plan(rows, samples.sparse)
        n_threads = min(effective_n_threads(), -(-samples.n_samples // rows))
        return plan, rows, [np.zeros(plan.work, self._parameters().dtype) for _ in range(n_threads)]

    def _samples_to_judge(self, X: Any, y: Any) -> list[Samples]:
        """Return checked samples with their labels, or once for each class if those are not given."""
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        every = self._codes_to_judge(X.shape[0], y)
        first = self._as_trained(self._samples(X, every[0]))
        return [
            first if codes is None else first._replace(codes=np.ascontiguousarray(codes, np.int32)) for codes in every
        ]

    def _judge(self, samples: Samples) -> tuple[Array, Array, Array]:
        """Return log p(x | z) and log p(z) - log q(z | x) for every draw, and the divergence."""
        parameters, n_draws = self._parameters(), self.n_draws
        rng = np.random.Generator(np.random.PCG64(self._judging))
        noise = rng.standard_normal((n_draws, self.n_components)).astype(parameters.dtype)
        plan, rows, room = self._inference(samples)
        n_samples = samples.n_samples
        log_likelihood, log_ratio = np.empty((n_samples, n_draws)), np.empty((n_samples, n_draws))
        divergence = np.empty(n_samples)
        blocks = cut(n_samples, rows)

        def task(block: int, worker: int) -> None:
            own = slice(*blocks[block])
            variational.bounds(
                plan,
                *samples,
                np.arange(*blocks[block]),
                noise,
                parameters,
                room[worker],
                log_likelihood[own],
                log_ratio[own],
                divergence[own],
            )

        with blas_on_one_thread():
            run_blocks(task, len(blocks), len(room))
        return log_likelihood, log_ratio, divergence

    def _bound(self, samples: Samples) -> Array:
        log_likelihood, log_ratio, _ = self._judge(samples)
        log_likelihood += log_ratio
        return logsumexp(log_likelihood, axis=1) - np.log(self.n_draws)

    def _decode(self, Z: Array, codes: Array | None) -> Array:
        """Return the decoder's output for latent variables, block by block."""
        rows = self._rows_together()
        network = self._networks(rows, OUTPUTS[self.likelihood])[1]
        _, parameters = self._part("decoder")
        out = np.empty((len(Z), self.n_features_in_), Z.dtype)
        for start, stop in cut(len(Z), rows):
            own = None if codes is None else codes[start:stop]
            out[start:stop] = outputs_of(network, parameters, with_labels(Z[start:stop], own, self._n_labels))
        return out
