"""Pictures of models that generate: grids of samples, the latent space, loss curves. Needs matplotlib.

Every function draws into the axes given, or a new figure's, and returns the axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from deciban._arrays import Array

__all__ = ["latent_scatter", "loss_curves", "sample_grid"]


def _axes(ax: Any, **size: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("deciban.plot needs matplotlib: pip install matplotlib") from error
    return pyplot.subplots(layout="constrained", **size)[1]


def sample_grid(
    X: Any,
    *,
    shape: tuple[int, int] | None = None,
    n_columns: int | None = None,
    cmap: str = "gray",
    ax: Any = None,
) -> Any:
    """Draw samples as images, side by side.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        One image a row.
    shape : (int, int), default=None
        Height and width of an image; None for squares.
    n_columns : int, default=None
        Images side by side; None for about as many as rows of them.
    cmap : str, default="gray"
        Colours, by matplotlib's names.
    ax : matplotlib Axes, default=None
        Where to draw.

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    ValueError
        If there is nothing to draw, or features do not make images of that shape.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from deciban.plot import sample_grid
    >>> ax = sample_grid(load_digits().data[:20], n_columns=10)  # doctest: +SKIP
    """
    images = X.toarray() if sp.issparse(X) else np.asarray(X)
    if images.ndim != 2 or images.size == 0:
        raise ValueError(f"X must be a table of one image a row, got shape {images.shape}")
    n_samples, n_features = images.shape
    if shape is None:
        side = round(n_features**0.5)
        shape = (side, side)
    height, width = shape
    if height * width != n_features:
        raise ValueError(f"{n_features} features do not make an image of {height} by {width}: give its shape")
    n_columns = min(n_samples, n_columns or int(np.ceil(n_samples**0.5)))
    if n_columns < 1:
        raise ValueError(f"n_columns must be at least 1, got {n_columns}")
    n_rows = -(-n_samples // n_columns)
    # a line of nothing between the images, and after the last
    sheet = np.full((n_rows * (height + 1) + 1, n_columns * (width + 1) + 1), np.nan)
    for number, image in enumerate(images):
        row, column = divmod(number, n_columns)
        top, left = row * (height + 1) + 1, column * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image.reshape(height, width)
    ax = _axes(ax, figsize=(0.6 * n_columns, 0.6 * n_rows))
    ax.imshow(sheet, cmap=cmap, interpolation="nearest")
    ax.set_axis_off()
    return ax


def latent_scatter(Z: Any, y: Any = None, *, ax: Any = None) -> Any:
    """Draw points of a latent space, coloured by their labels.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        Points: the first two components are drawn, or the two principal ones if there are more.
    y : array-like of shape (n_samples,), default=None
        Labels.
    ax : matplotlib Axes, default=None
        Where to draw.

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    ValueError
        If there are fewer than two components, or not as many labels as points.

    Examples
    --------
    >>> from deciban.plot import latent_scatter
    >>> ax = latent_scatter([[0.0, 1.0], [1.0, 0.0]], ["a", "b"])  # doctest: +SKIP
    """
    points = np.asarray(Z, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"Z must have at least two components, got shape {points.shape}")
    labels: Array = np.zeros(len(points), int) if y is None else np.asarray(y)
    if labels.shape != (len(points),):
        raise ValueError(f"y must have one label for each of {len(points)} points, got shape {labels.shape}")
    if points.shape[1] > 2:
        points = points - points.mean(axis=0)
        points = points @ np.linalg.svd(points, full_matrices=False)[2][:2].T
    ax = _axes(ax, figsize=(5, 5))
    for label in np.unique(labels):
        own = points[labels == label]
        ax.scatter(own[:, 0], own[:, 1], s=6, alpha=0.7, linewidths=0, label=str(label))
    if y is not None:
        ax.legend(markerscale=2, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_aspect("equal", adjustable="datalim")
    return ax


def loss_curves(model: Any, *, ax: Any = None) -> Any:
    """Draw how the losses of a fitted model went, epoch by epoch.

    Parameters
    ----------
    model : object
        With ``loss_curve_``: a list of losses, or of one dict of named losses an epoch.
    ax : matplotlib Axes, default=None
        Where to draw.

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from deciban.plot import loss_curves
    >>> ax = loss_curves(model)  # doctest: +SKIP
    """
    curve = model.loss_curve_
    named = bool(curve) and isinstance(curve[0], dict)
    ax = _axes(ax, figsize=(6, 3.5))
    for name in curve[0] if named else ["loss"]:
        values = [losses[name] for losses in curve] if named else curve
        ax.plot(range(1, len(values) + 1), values, label=name)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    if named:
        ax.legend(frameon=False)
    return ax
