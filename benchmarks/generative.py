"""Epochs of VAE and GAN against PyTorch and JAX, the same models, and against their matrix products alone.

``python benchmarks/generative.py --threads 1`` prints a table of seconds an epoch and ratios of the same round, after
every peer has taken the same steps from the same parameters with the same noise, to the same result.
``--bound EPOCHS`` trains a VAE with deciban and with PyTorch on Fashion-MNIST from the same initial parameters, each
with its own order and noise, and compares bounds; ``--judge EPOCHS`` judges samples of both models. Peers that are not
installed are left out. 60000 samples of 784 features, batches of 128; "GAN" is without spectral normalisation and
average, "GAN-SN" with both.
"""

import argparse
import copy
import importlib.util
import os
import statistics
import time

import numpy as np
from generative_peers import JaxGAN, JaxVAE, TorchGAN, TorchVAE, tables
from scipy.linalg.blas import dgemm, sgemm
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import gen_batches

import deciban
from deciban._generation import seed_of
from deciban._parallel import blas_on_one_thread
from deciban.demo.digits import fashion_mnist
from deciban.generative import GAN, VAE
from deciban.neural_network import MLPClassifier

BATCH = 128
HIDDEN, LATENT = 400, 20
NOISE, GAN_HIDDEN = 64, 256
KINDS = ("VAE", "GAN", "GAN-SN")


def products(shapes, n_samples, dtype):
    """Seconds of matrix products (rows, inner, columns), one batch after the other, BLAS on one thread."""
    gemm, made = (sgemm if dtype == np.float32 else dgemm), []
    for n_rows, n_inner, n_columns in shapes:
        a, b = np.ones((n_inner, n_columns), dtype).T, np.ones((n_rows, n_inner), dtype).T
        made.append((a, b, np.zeros((n_rows, n_columns), dtype).T))
    with blas_on_one_thread():
        begin = time.perf_counter()
        for _ in gen_batches(n_samples, BATCH):
            for a, b, c in made:
                gemm(1.0, a, b, 0.0, c, overwrite_c=1)
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


def ours(kind):
    if kind == "VAE":
        return VAE(LATENT, likelihood="bernoulli", hidden_layer_sizes=(HIDDEN,), random_state=0)
    plain = {} if kind == "GAN-SN" else {"spectral_normalization": False, "averaging": 0.0}
    return GAN(NOISE, output_activation="logistic", random_state=0, **plain)


def untrained(model, X):
    """The model as it is before the first step of a fit to X."""
    model = clone(model)
    samples = model._check(X, None, reset=True, classes=None)
    model._state = model._initial_state(samples, seed_of(model.random_state))
    model.loss_curve_, model.n_iter_ = [], 0
    return model


def peers(kind, compiled):
    """Makers of the peers that are installed, by name."""
    found = {}
    if importlib.util.find_spec("torch"):
        torch = TorchVAE if kind == "VAE" else TorchGAN
        found["torch"] = torch
        if compiled and kind != "GAN-SN":  # which changes too much between its calls to stay compiled
            found["torch compiled"] = lambda model: torch(model, compiled=True)
    if importlib.util.find_spec("jax") and kind != "GAN-SN":
        found["jax"] = JaxVAE if kind == "VAE" else JaxGAN
    return found


def parts_of(model):
    names = ("encoder", "decoder") if isinstance(model, VAE) else ("generator", "discriminator")
    return [layer for name in names for layer in tables(model, name)]


def agree(kind, X, makers):
    """Assert that all take the same steps, in float64, where rounding does not matter."""
    X = X[: 5 * BATCH + 30].astype(np.float64)
    start = untrained(ours(kind), X)
    model = copy.deepcopy(start).partial_fit(X)
    order = np.random.Generator(copy.deepcopy(start._state.shuffle)).permutation(len(X))
    noise = np.random.Generator(copy.deepcopy(start._state.noise)).standard_normal((len(X), start.n_components))
    own = list(model.loss_curve_[0].values())[: 1 if kind == "VAE" else 2]
    for name, make in makers.items():
        peer = make(start)
        np.testing.assert_allclose(peer.epoch(X, order, noise), own, rtol=1e-9, err_msg=name)
        for theirs, mine in zip(peer.parameters(), parts_of(model), strict=True):
            for a, b in zip(theirs, mine, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7, err_msg=name)


def race(kind, X, n_rounds, compiled):
    makers = peers(kind, compiled)
    agree(kind, X, makers)
    start = untrained(ours(kind), X)
    contenders = {"deciban": copy.deepcopy(start).partial_fit}
    contenders |= {name: make(start).epoch for name, make in makers.items()}
    shapes = VAE_PRODUCTS if kind == "VAE" else GAN_PRODUCTS
    contenders["products, 1 thread"] = lambda X: products(shapes, len(X), X.dtype)
    for epoch in contenders.values():
        epoch(X[: 4 * BATCH + len(X) % BATCH])  # compiles for both sizes of a batch
    times = {name: [] for name in contenders}
    for _ in range(n_rounds):
        for name, epoch in contenders.items():
            begin = time.perf_counter()
            epoch(X)
            times[name].append(time.perf_counter() - begin)
    for name, seconds in times.items():
        ratios = [theirs / own for theirs, own in zip(seconds, times["deciban"], strict=True)]
        print(
            f"{kind:6}  {name:20}{statistics.median(seconds):7.2f} s   {statistics.median(ratios):.2f} of deciban's "
            f"time ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def quality_of_bound(n_epochs, seeds):
    """Train the same VAE with deciban and PyTorch, and compare the bounds of test images."""
    X, X_test = fashion_mnist("train")[0], fashion_mnist("t10k")[0]
    bounds = {"deciban": [], "torch": []}
    for seed in seeds:
        model = ours("VAE").set_params(max_iter=n_epochs, random_state=seed)
        judge = untrained(model, X)
        theirs = TorchVAE(judge)
        theirs.torch.manual_seed(seed)
        curve = [theirs.epoch(X)[0] for _ in range(n_epochs)]
        model.fit(X)
        for (W, b), (own_W, own_b) in zip(theirs.parameters(), parts_of(judge), strict=True):
            own_W[:], own_b[:] = W, b
        for epoch, (own, their) in enumerate(zip(model.loss_curve_, curve, strict=True), 1):
            print(f"seed {seed}, epoch {epoch:2}: training loss {own['loss']:.2f}, torch {their:.2f} nats a sample")
        for name, own in (("deciban", model), ("torch", judge)):
            bounds[name].append(own.evidence_lower_bound(X_test).mean())
            print(
                f"seed {seed}, {name}: test ELBO {bounds[name][-1]:.2f}, importance-weighted (16 draws) "
                f"{own.score(X_test):.2f}",
                flush=True,
            )
    difference = np.mean(bounds["deciban"]) - np.mean(bounds["torch"])
    print(f"mean test ELBO: deciban {np.mean(bounds['deciban']):.2f}, torch {np.mean(bounds['torch']):.2f}")
    assert abs(difference) < 1, f"the bounds differ by {difference:.2f} nats"


def judge(name, classifier, X_test, made):
    """Print what a classifier sees in samples, and how well a nearest neighbour tells them from test images."""
    found = classifier.predict_proba(made)
    share = np.bincount(found.argmax(axis=1), minlength=found.shape[1]) / len(made)
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum() / np.log(len(share))
    n = min(len(made), len(X_test), 1000)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(np.vstack([X_test[:n], made[:n]]))
    index = nearest.kneighbors(return_distance=False)[:, 0]  # of each point, itself left out
    real, generated = (index[:n] < n).mean(), (index[n:] >= n).mean()
    print(
        f"{name:16} {np.count_nonzero(share > 0.02):2} classes, least share {share.min():.3f}, entropy {entropy:.3f}; "
        f"confidence {found.max(axis=1).mean():.3f}; nearest neighbour right: {real:.3f} of real, {generated:.3f} of "
        f"generated, {(real + generated) / 2:.3f} of all",
        flush=True,
    )


def quality_of_samples(n_epochs, n_samples):
    """Judge samples, in [0, 1], by a classifier that has learned of real images, and by their neighbours."""
    (X, y), (X_test, y_test) = fashion_mnist("train"), fashion_mnist("t10k")
    classifier = MLPClassifier((256,), max_iter=5, random_state=0).fit(X, y)
    print(f"the classifier is right on {classifier.score(X_test, y_test):.3f} of the test images")
    judge("test images", classifier, X_test[:5000], X_test[5000:])
    X = X[:n_samples]
    vae = ours("VAE").set_params(max_iter=n_epochs).fit(X)
    judge("VAE, means", classifier, X_test, vae.sample(5000, mean=True, random_state=0)[0])
    layers = {"generator_layer_sizes": (256, 512), "discriminator_layer_sizes": (512, 256)}
    options = {"output_activation": "tanh", "batch_size": 64, "max_iter": n_epochs, "random_state": 0}
    plain = {"spectral_normalization": False, "averaging": 0.0}
    for name, own in (("GAN", {}), ("GAN, plain", plain), ("GAN, wasserstein", {"loss": "wasserstein"})):
        gan = GAN(NOISE, **layers, **options, **own).fit(2 * X - 1)
        judge(name, classifier, X_test, (gan.sample(5000, random_state=0)[0] + 1) / 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=60_000, help="samples of an epoch")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--model", choices=KINDS)
    parser.add_argument("--compiled", action="store_true", help="PyTorch's compiled form too")
    parser.add_argument("--bound", type=int, metavar="EPOCHS", help="compare the VAE's bound with PyTorch's")
    parser.add_argument("--judge", type=int, metavar="EPOCHS", help="judge samples")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    deciban.set_config(n_threads=options.threads)
    if options.threads == 1 and hasattr(os, "sched_setaffinity"):  # JAX takes no number of threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(options.threads)
    if options.bound:
        quality_of_bound(options.bound, range(options.seeds))
        return
    if options.judge:
        quality_of_samples(options.judge, options.samples)
        return
    try:
        X = fashion_mnist("train")[0]
    except OSError:
        X = np.random.default_rng(0).random((60_000, 784), dtype=np.float32)
    X = X[: options.samples].astype(options.dtype)
    for kind in [options.model] if options.model else KINDS:
        race(kind, X, options.rounds, options.compiled)


if __name__ == "__main__":
    main()
