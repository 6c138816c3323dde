"""``python -m deciban.demo digits``: networks that classify and generate handwritten digits, in a picture.

The digits are the 1797 of 8 by 8 pixels that scikit-learn brings along; with ``--fashion``, Fashion-MNIST's 70,000
pieces of clothing of 28 by 28, where its four files lie in the folder that the environment variable ``FASHION_MNIST``
names, or in ``fashion_mnist`` beside scikit-learn's data folder.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.datasets import get_data_home, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from deciban._arrays import Array
from deciban.generative import GAN, VAE
from deciban.neural_network import MLPClassifier

_ROWS = 5  # of samples in the picture; a column for each label


def fashion_mnist(part: str) -> tuple[Array, Array]:
    """Read Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, 2017) from its files.

    Parameters
    ----------
    part : {"train", "t10k"}

    Returns
    -------
    X : ndarray of shape (n_samples, 784)
        Grey values in [0, 1], float32.
    y : ndarray of shape (n_samples,)
        Labels, 0 to 9.

    Raises
    ------
    OSError
        If the files are not where they are looked for.
    """
    beside = Path(get_data_home()).parent / "fashion_mnist"
    folder = Path(os.environ.get("FASHION_MNIST", beside))
    found = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        with gzip.open(folder / f"{part}-{kind}-ubyte.gz") as file:
            found.append(np.frombuffer(file.read(), np.uint8, offset=header))
    return (found[0].reshape(len(found[1]), 784) / np.float32(255)).astype(np.float32), found[1].astype(np.int64)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deciban.demo digits", description="Classify and generate handwritten digits."
    )
    parser.add_argument("--fashion", action="store_true", help="pieces of clothing, of Fashion-MNIST, in their place")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of the models that generate")
    parser.add_argument("--output", metavar="FILE", default="digits.png", help="the picture (default: digits.png)")
    options = parser.parse_args(argv)
    if options.epochs is not None and options.epochs < 1:
        parser.error("--epochs takes a number of at least 1")
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("the picture needs matplotlib: pip install matplotlib")
    return options


def _data(fashion: bool) -> tuple[Array, Array, Array, Array]:
    if not fashion:
        X, y = load_digits(return_X_y=True)
        return tuple(train_test_split(X.astype(np.float32) / 16, y, test_size=0.25, random_state=0, stratify=y))
    X, y = fashion_mnist("train")
    X_test, y_test = fashion_mnist("t10k")
    return X, X_test, y, y_test


def _models(fashion: bool, epochs: int | None) -> tuple[MLPClassifier, VAE, GAN]:
    common: dict[str, Any] = {"random_state": 0, "verbose": True}
    size = 400 if fashion else 256
    vae = VAE(
        20 if fashion else 8,
        likelihood="bernoulli",
        hidden_layer_sizes=(size,),
        learning_rate_init=1e-3 if fashion else 2e-3,
        batch_size=128 if fashion else 64,
        max_iter=epochs or (10 if fashion else 60),
        **common,
    )
    gan = GAN(
        64 if fashion else 32,
        output_activation="logistic",
        generator_layer_sizes=(256, 512) if fashion else (256,),
        discriminator_layer_sizes=(512, 256) if fashion else (256,),
        learning_rate_init=1e-3 if fashion else 2e-3,
        batch_size=64,
        max_iter=epochs or (15 if fashion else 100),
        **common,
    )
    return MLPClassifier((100,), max_iter=10 if fashion else 60, early_stopping=fashion, random_state=0), vae, gan


def _draw(path: str, X: Array, y: Array, X_test: Array, y_test: Array, vae: VAE, gan: GAN) -> None:
    from matplotlib.figure import Figure

    from deciban.plot import latent_scatter, loss_curves, sample_grid

    labels = np.tile(vae.classes_, _ROWS)
    real = np.stack([X[y == label][row] for row in range(_ROWS) for label in vae.classes_])
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes_of = figure.subplots(2, 3, height_ratios=[1, 1.15])
    panels = (
        ("data", real),
        (f"VAE, {vae.n_iter_} epochs", vae.sample(y=labels, mean=True, random_state=0)[0]),
        (f"GAN, {gan.n_iter_} epochs", gan.sample(y=labels, random_state=0)[0]),
    )
    for axes, (title, samples) in zip(axes_of[0], panels, strict=True):
        sample_grid(samples, n_columns=len(vae.classes_), ax=axes)
        axes.set_title(title, fontsize=10)
    latent, losses, judged = axes_of[1]
    shown = np.random.default_rng(0).permutation(len(X_test))[:1000]
    latent_scatter(vae.transform(X_test[shown], y_test[shown]), y_test[shown], ax=latent)
    latent.set_title("VAE: latent means of test data", fontsize=10)
    loss_curves(vae, ax=losses)
    losses.set_title("VAE: loss, nats a sample", fontsize=10)
    loss_curves(gan, ax=judged)
    judged.set_title("GAN: losses", fontsize=10)
    for axes in (latent, losses, judged):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments after ``digits``.

    Returns
    -------
    status : int
        0.
    """
    options = _arguments(argv)
    X, X_test, y, y_test = _data(options.fashion)
    print(f"{len(X):,} images of {X.shape[1]} pixels to learn from, {len(X_test):,} to judge by")
    mlp, vae, gan = _models(options.fashion, options.epochs)
    for model in (mlp, vae, gan):
        begin = perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are enough for a demonstration
            model.fit(X, y)
        seconds = perf_counter() - begin
        name = type(model).__name__
        if model is mlp:
            print(f"{name}: {seconds:.1f} s, {model.score(X_test, y_test):.1%} of the test images are classified right")
        else:
            made, labels = model.sample(2000, random_state=0, **({"mean": True} if model is vae else {}))
            right = (mlp.predict(made) == labels).mean()
            print(f"{name}: {seconds:.1f} s, {right:.1%} of its samples are classified as what they should be")
    print(f"VAE: log p(x | y) of a test image is at least {vae.score(X_test, y_test):.2f} nats")
    _draw(options.output, X, y, X_test, y_test, vae, gan)
    print(f"drew {options.output}")
    return 0
