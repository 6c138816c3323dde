"""The models of benchmarks/generative.py, written with PyTorch and with JAX.

Each is made of a :class:`deciban.generative.VAE` (Bernoulli) or ``GAN`` (non-saturating) that has not been trained, and
begins with its parameters. ``epoch(X, order, noise)`` trains once through the samples in an order, with the standard
normal noise of each sample, and returns the mean losses; ``order`` and ``noise`` may be left to the peer's own
generator. ``parameters()`` returns (coefficients, intercepts) of every layer, in the estimators' layout.
"""

import numpy as np


def tables(model, part):
    """(coefficients, intercepts) of every layer of a model's network."""
    return list(zip(getattr(model, f"{part}_coefs_"), getattr(model, f"{part}_intercepts_"), strict=True))


class _Torch:
    def _layers(self, own):
        torch = self.torch
        return [[torch.from_numpy(np.array(table)).requires_grad_() for table in layer] for layer in own]

    def _noise(self, x, width, rows, noise):
        if noise is None:
            return self.torch.randn(len(x), width, dtype=x.dtype)
        return self.torch.from_numpy(noise[rows])

    def _batches(self, X, order):
        torch = self.torch
        order = torch.randperm(len(X)) if order is None else torch.from_numpy(order)
        samples, done = torch.from_numpy(X), 0
        for rows in order.split(self.batch_size):
            yield samples[rows], slice(done, done + len(rows))
            done += len(rows)

    def _network(self, layers, x, activation):
        linear = self.torch.nn.functional.linear
        for W, b in layers[:-1]:
            x = activation(linear(x, W.T, b))
        return linear(x, layers[-1][0].T, layers[-1][1])

    def _adam(self, model, layers, rate):
        own = [table for layer in layers for table in layer]
        options = {"betas": (model.beta_1, model.beta_2), "eps": model.epsilon, "fused": True}
        return self.torch.optim.Adam(own, lr=rate, **options)


class TorchVAE(_Torch):
    def __init__(self, model, compiled=False):
        import torch

        self.torch, self.batch_size, self.n_components = torch, model.batch_size, model.n_components
        self.encoder, self.decoder = (self._layers(tables(model, part)) for part in ("encoder", "decoder"))
        self.optimiser = self._adam(model, [*self.encoder, *self.decoder], model.learning_rate_init)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x, noise):
        torch, relu = self.torch, self.torch.nn.functional.relu
        mean, log_variance = self._network(self.encoder, x, relu).chunk(2, 1)
        logits = self._network(self.decoder, mean + torch.exp(0.5 * log_variance) * noise, relu)
        reconstruction = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return reconstruction + 0.5 * torch.sum(mean**2 + log_variance.exp() - log_variance - 1)

    def epoch(self, X, order=None, noise=None):
        total = 0.0
        for x, rows in self._batches(X, order):
            loss = self.loss(x, self._noise(x, self.n_components, rows, noise))
            self.optimiser.zero_grad(set_to_none=True)
            (loss / len(x)).backward()
            self.optimiser.step()
            total += loss.item()
        return (total / len(X),)

    def parameters(self):
        return [[table.detach().numpy() for table in layer] for layer in [*self.encoder, *self.decoder]]


class TorchGAN(_Torch):
    def __init__(self, model, compiled=False):
        import torch

        self.torch, self.batch_size, self.n_components = torch, model.batch_size, model.n_components
        self.output = {"logistic": torch.sigmoid, "tanh": torch.tanh, "identity": lambda x: x}[model.output_activation]
        self.generator, self.discriminator = (
            self._layers(tables(model, part)) for part in ("generator", "discriminator")
        )
        self.of_generator = self._adam(model, self.generator, model.learning_rate_init)
        rate = model.discriminator_learning_rate_init or model.learning_rate_init
        self.of_discriminator = self._adam(model, self.discriminator, rate)
        self.directions = []
        if model.spectral_normalization:
            at = 0
            for W, _ in self.discriminator:
                n_in, n_out = W.shape
                u, v = np.split(np.array(model._state.directions[at : at + n_in + n_out]), [n_out])
                self.directions.append([torch.from_numpy(u), torch.from_numpy(v)])
                at += n_in + n_out
        self.averaging, self.n_steps = model.averaging, 0
        self.average = [table.detach().clone() for layer in self.generator for table in layer]
        wrap = torch.compile if compiled else lambda function: function
        self.judge, self.make = wrap(self._judge), wrap(self._make)

    def _leaky(self, x):
        return self.torch.nn.functional.leaky_relu(x, 0.01)

    def _make(self, noise):
        return self.output(self._network(self.generator, noise, self._leaky))

    def _judge(self, x):
        used = self.discriminator
        if self.directions:
            used = [(W / (v @ W @ u), b) for (W, b), (u, v) in zip(used, self.directions, strict=True)]
        return self._network(used, x, self._leaky)

    def _power_iteration(self):
        normalize = self.torch.nn.functional.normalize
        with self.torch.no_grad():
            for own, (W, _) in zip(self.directions, self.discriminator, strict=False):  # none without normalisation
                own[0] = normalize(own[1] @ W, dim=0)
                own[1] = normalize(W @ own[0], dim=0)

    def epoch(self, X, order=None, noise=None):
        torch, softplus = self.torch, self.torch.nn.functional.softplus
        totals = np.zeros(2)
        for x, rows in self._batches(X, order):
            made = self.make(self._noise(x, self.n_components, rows, noise))
            scores = self.judge(torch.cat([x, made.detach()]))
            loss = softplus(-scores[: len(x)]).mean() + softplus(scores[len(x) :]).mean()
            self.of_discriminator.zero_grad(set_to_none=True)
            loss.backward()
            self.of_discriminator.step()
            self._power_iteration()
            for layer in self.discriminator:  # whose gradients are not wanted here
                for table in layer:
                    table.requires_grad_(False)
            fooling = softplus(-self.judge(made)).mean()
            self.of_generator.zero_grad(set_to_none=True)
            fooling.backward()
            self.of_generator.step()
            for layer in self.discriminator:
                for table in layer:
                    table.requires_grad_(True)
            self.n_steps += 1
            if self.averaging:
                share = max(1 - self.averaging, 9 / (10 + self.n_steps))
                own = [table.detach() for layer in self.generator for table in layer]
                torch._foreach_lerp_(self.average, own, share)
            totals += len(x) * np.array([loss.item(), fooling.item()])
        return totals / len(X)

    def parameters(self):
        average = iter(self.average) if self.averaging else iter(t for layer in self.generator for t in layer)
        made = [[next(average).detach().numpy() for _ in layer] for layer in self.generator]
        return made + [[table.detach().numpy() for table in layer] for layer in self.discriminator]


class _Jax:
    def __init__(self, model):
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax, self.jnp = jax, jax.numpy
        self.batch_size, self.n_components, self.key = model.batch_size, model.n_components, jax.random.key(0)
        self.betas, self.epsilon, self.rate = (model.beta_1, model.beta_2), model.epsilon, model.learning_rate_init
        own = [[[jax.numpy.array(table) for table in layer] for layer in tables(model, part)] for part in self.parts]
        zeros = jax.tree.map(jax.numpy.zeros_like, own)
        self.state = own, zeros, jax.tree.map(jax.numpy.copy, zeros), 0
        self.advance = jax.jit(self.step, donate_argnums=0)

    def _network(self, layers, x, activation):
        for W, b in layers[:-1]:
            x = activation(x @ W + b)
        return x @ layers[-1][0] + layers[-1][1]

    def _adam(self, own, gradient, first, second, step):
        (beta_1, beta_2), tree = self.betas, self.jax.tree
        first = tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, first, gradient)
        second = tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, second, gradient)
        one, two = 1 - beta_1**step, 1 - beta_2**step

        def move(p, m, v):
            return (p - self.rate * (m / one) / (self.jnp.sqrt(v / two) + self.epsilon)).astype(p.dtype)

        return tree.map(move, own, first, second), first, second

    def epoch(self, X, order=None, noise=None):
        order = np.random.default_rng(0).permutation(len(X)) if order is None else order
        totals = []
        for start in range(0, len(X), self.batch_size):
            rows = slice(start, start + self.batch_size)
            x = X[order[rows]]
            if noise is None:
                self.key, key = self.jax.random.split(self.key)
                given = self.jax.random.normal(key, (len(x), self.n_components), x.dtype)
            else:
                given = noise[rows]
            self.state, losses = self.advance(self.state, x, given)
            totals.append(losses)
        return np.sum([np.asarray(losses) for losses in totals], axis=0) / len(X)

    def parameters(self):
        return [[np.asarray(table) for table in layer] for part in self.state[0] for layer in part]


class JaxVAE(_Jax):
    parts = ("encoder", "decoder")

    def step(self, state, x, noise):
        jnp, relu = self.jnp, self.jax.nn.relu
        own, first, second, count = state

        def loss(own):
            mean, log_variance = jnp.split(self._network(own[0], x, relu), 2, axis=1)
            logits = self._network(own[1], mean + jnp.exp(0.5 * log_variance) * noise, relu)
            reconstruction = jnp.sum(self.jax.nn.softplus(logits) - x * logits)
            divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - log_variance - 1)
            return (reconstruction + divergence) / len(x)

        found, gradient = self.jax.value_and_grad(loss)(own)
        own, first, second = self._adam(own, gradient, first, second, count + 1)
        return (own, first, second, count + 1), jnp.stack([found * len(x)])


class JaxGAN(_Jax):
    """Without spectral normalisation and average."""

    parts = ("generator", "discriminator")

    def step(self, state, x, noise):
        jax, jnp = self.jax, self.jnp
        (G, D), (first_G, first_D), (second_G, second_D), count = state

        def make(G):
            return jax.nn.sigmoid(self._network(G, noise, jax.nn.leaky_relu))

        def judge(D, x):
            return self._network(D, x, jax.nn.leaky_relu)

        def of_discriminator(D):
            scores = judge(D, jnp.concatenate([x, make(G)]))
            return jax.nn.softplus(-scores[: len(x)]).mean() + jax.nn.softplus(scores[len(x) :]).mean()

        def of_generator(G, D):
            return jax.nn.softplus(-judge(D, make(G))).mean()

        loss, gradient = jax.value_and_grad(of_discriminator)(D)
        D, first_D, second_D = self._adam(D, gradient, first_D, second_D, count + 1)
        fooling, gradient = jax.value_and_grad(of_generator)(G, D)
        G, first_G, second_G = self._adam(G, gradient, first_G, second_G, count + 1)
        return ([G, D], [first_G, first_D], [second_G, second_D], count + 1), jnp.stack([loss, fooling]) * len(x)
