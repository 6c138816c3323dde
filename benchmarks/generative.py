"""Epochs of VAE and GAN against PyTorch, the same models, and against their matrix products alone.

``python benchmarks/generative.py --threads 1`` prints a table of seconds an epoch and ratios of the same round;
``--quality`` trains the same VAE with both on Fashion-MNIST from the same initial parameters, and compares bounds.
Without PyTorch, only our own times and the products are shown. 60000 samples of 784 features, batches of 128.
"""

import argparse
import importlib.util
import statistics
import time
from itertools import pairwise

import numpy as np
from scipy.linalg.blas import sgemm
from sklearn.utils import gen_batches

import deciban
from deciban._parallel import blas_on_one_thread
from deciban.demo.digits import fashion_mnist
from deciban.generative import GAN, VAE

BATCH = 128
HIDDEN, LATENT = 400, 20
NOISE, GAN_HIDDEN = 64, 256


def products(shapes, n_samples):
    """Seconds of matrix products (rows, inner, columns), one batch after the other, BLAS on one thread."""
    tables = []
    for n_rows, n_inner, n_columns in shapes:
        a, b = np.ones((n_inner, n_columns), np.float32).T, np.ones((n_rows, n_inner), np.float32).T
        tables.append((a, b, np.zeros((n_rows, n_columns), np.float32).T))
    with blas_on_one_thread():
        begin = time.perf_counter()
        for _ in gen_batches(n_samples, BATCH):
            for a, b, c in tables:
                sgemm(1.0, a, b, 0.0, c, overwrite_c=1)
        return time.perf_counter() - begin


def layer(n_rows, n_in, n_out, *, inputs=True, parameters=True):
    """The products of a layer: forward, and backward by what is asked for."""
    backward = [(n_rows, n_out, n_in)] * inputs + [(n_in, n_rows, n_out)] * parameters
    return [(n_rows, n_in, n_out), *backward]


VAE_PRODUCTS = [
    *layer(BATCH, 784, HIDDEN, inputs=False),
    *layer(BATCH, HIDDEN, 2 * LATENT),
    *layer(BATCH, LATENT, HIDDEN),
    *layer(BATCH, HIDDEN, 784),
]
GAN_PRODUCTS = [
    *layer(BATCH, NOISE, GAN_HIDDEN, inputs=False),
    *layer(BATCH, GAN_HIDDEN, 784),
    *layer(2 * BATCH, 784, GAN_HIDDEN, inputs=False),
    *layer(2 * BATCH, GAN_HIDDEN, 1),
    *layer(BATCH, 784, GAN_HIDDEN, parameters=False),
    *layer(BATCH, GAN_HIDDEN, 1, parameters=False),
]


def torch_layers(*sizes, activation):
    from torch import nn

    parts = []
    for n_in, n_out in pairwise(sizes):
        parts += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*parts[:-1])


class TorchVAE:
    """The model of deciban.generative.VAE, likelihood="bernoulli"."""

    def __init__(self, compiled=False):
        import torch

        self.torch = torch
        self.encoder = torch_layers(784, HIDDEN, 2 * LATENT, activation=torch.nn.ReLU)
        self.decoder = torch_layers(LATENT, HIDDEN, 784, activation=torch.nn.ReLU)
        both = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimiser = torch.optim.Adam(both, lr=1e-3, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x):
        torch = self.torch
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = torch.nn.functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        return reconstruction + 0.5 * torch.sum(mean**2 + log_variance.exp() - log_variance - 1)

    def copy(self, model):
        """Take the parameters of a deciban.generative.VAE."""
        for network, part in ((self.encoder, "encoder"), (self.decoder, "decoder")):
            tables = zip(getattr(model, f"{part}_coefs_"), getattr(model, f"{part}_intercepts_"), strict=True)
            for own, (W, b) in zip(network[::2], tables, strict=True):
                own.weight.data = self.torch.from_numpy(W.T.copy())
                own.bias.data = self.torch.from_numpy(b.copy())

    def epoch(self, X):
        """Train once on all samples; return the mean loss."""
        X, total = self.torch.from_numpy(X), 0.0
        for rows in self.torch.randperm(len(X)).split(BATCH):
            x = X[rows]
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.loss(x)
            (loss / len(x)).backward()
            self.optimiser.step()
            total += loss.item()
        return total / len(X)


class TorchGAN:
    """The model of deciban.generative.GAN, loss="non_saturating"."""

    def __init__(self, compiled=False):
        import torch

        self.torch = torch

        def leaky():
            return torch.nn.LeakyReLU(0.01)

        generator = torch_layers(NOISE, GAN_HIDDEN, 784, activation=leaky)
        self.generator = torch.nn.Sequential(*generator, torch.nn.Sigmoid())
        self.discriminator = torch_layers(784, GAN_HIDDEN, 1, activation=leaky)
        options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
        self.of_generator = torch.optim.Adam(self.generator.parameters(), **options)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), **options)
        if compiled:
            self.generator, self.discriminator = torch.compile(self.generator), torch.compile(self.discriminator)

    def epoch(self, X):
        torch, softplus = self.torch, self.torch.nn.functional.softplus
        X = torch.from_numpy(X)
        for rows in torch.randperm(len(X)).split(BATCH):
            x = X[rows]
            made = self.generator(torch.randn(len(x), NOISE))
            self.of_discriminator.zero_grad(set_to_none=True)
            scores = self.discriminator(torch.cat([x, made.detach()]))
            (softplus(-scores[: len(x)]).mean() + softplus(scores[len(x) :]).mean()).backward()
            self.of_discriminator.step()
            self.of_generator.zero_grad(set_to_none=True)
            for own in self.discriminator.parameters():  # its gradients are not wanted here
                own.requires_grad_(False)
            softplus(-self.discriminator(made)).mean().backward()
            for own in self.discriminator.parameters():
                own.requires_grad_(True)
            self.of_generator.step()


def ours(kind):
    if kind == "VAE":
        return VAE(LATENT, likelihood="bernoulli", hidden_layer_sizes=(HIDDEN,), random_state=0)
    return GAN(NOISE, output_activation="logistic", random_state=0)


def race(kind, X, n_rounds, compiled):
    contenders = {"deciban": ours(kind).partial_fit}
    if importlib.util.find_spec("torch"):
        make = {"VAE": TorchVAE, "GAN": TorchGAN}[kind]
        contenders["torch"] = make().epoch
        if compiled:
            contenders["torch compiled"] = make(compiled=True).epoch
    shapes = {"VAE": VAE_PRODUCTS, "GAN": GAN_PRODUCTS}[kind]
    contenders["products, 1 thread"] = lambda X: products(shapes, len(X))
    for epoch in contenders.values():
        epoch(X[: 4 * BATCH + 1])
    times = {name: [] for name in contenders}
    for _ in range(n_rounds):
        for name, epoch in contenders.items():
            begin = time.perf_counter()
            epoch(X)
            times[name].append(time.perf_counter() - begin)
    for name, seconds in times.items():
        ratios = [theirs / own for theirs, own in zip(seconds, times["deciban"], strict=True)]
        print(
            f"{kind}  {name:20}{statistics.median(seconds):7.2f} s   {statistics.median(ratios):.2f} of deciban's time "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def quality(n_epochs):
    """Train the same VAE with both, from the same parameters, and compare the bounds of test images."""
    X, X_test = fashion_mnist("train")[0], fashion_mnist("t10k")[0]
    model = ours("VAE").set_params(max_iter=n_epochs)
    theirs = TorchVAE()
    theirs.copy(ours("VAE").set_params(learning_rate_init=1e-30).fit(X[:BATCH]))
    start = [theirs.epoch(X) for _ in range(n_epochs)]
    model.fit(X)
    judge = ours("VAE").set_params(max_iter=1).fit(X[:BATCH])
    for part, network in (("encoder", theirs.encoder), ("decoder", theirs.decoder)):
        tables = zip(getattr(judge, f"{part}_coefs_"), getattr(judge, f"{part}_intercepts_"), strict=True)
        for own, (W, b) in zip(network[::2], tables, strict=True):
            W[:], b[:] = own.weight.detach().numpy().T, own.bias.detach().numpy()
    print("epoch  deciban  torch (training loss, nats a sample)")
    for epoch, (own, their) in enumerate(zip(model.loss_curve_, start, strict=True), 1):
        print(f"{epoch:5}  {own['loss']:7.2f}  {their:7.2f}")
    for name, own in (("deciban", model), ("torch", judge)):
        print(
            f"{name}: test ELBO {own.evidence_lower_bound(X_test).mean():.2f}, importance-weighted (16 draws) "
            f"{own.score(X_test):.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", choices=["VAE", "GAN"])
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--quality", type=int, metavar="EPOCHS")
    options = parser.parse_args()
    deciban.set_config(n_threads=options.threads)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(options.threads)
    if options.quality:
        quality(options.quality)
        return
    try:
        X = fashion_mnist("train")[0]
    except OSError:
        X = np.random.default_rng(0).random((60000, 784), dtype=np.float32)
    for kind in [options.model] if options.model else ["VAE", "GAN"]:
        race(kind, X, options.rounds, options.compiled)


if __name__ == "__main__":
    main()
