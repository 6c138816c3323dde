"""deciban.plot draws what it is given, and says what it cannot draw."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from deciban import plot


@pytest.fixture(autouse=True)
def closed_figures():
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    yield
    pyplot.close("all")


def sheet_of(ax):
    return np.ma.filled(ax.get_images()[0].get_array(), np.nan)


@pytest.mark.parametrize("sparse", [False, True])
def test_sample_grid_holds_every_image(sparse):
    X = np.arange(1, 7 * 6 + 1, dtype=float).reshape(7, 6)
    sheet = sheet_of(plot.sample_grid(sp.csr_matrix(X) if sparse else X, shape=(2, 3), n_columns=3))
    assert sheet.shape == (3 * 3 + 1, 3 * 4 + 1)
    np.testing.assert_array_equal(sheet[1:3, 1:4], X[0].reshape(2, 3))
    np.testing.assert_array_equal(sheet[4:6, 5:8], X[4].reshape(2, 3))
    np.testing.assert_array_equal(np.sort(sheet[~np.isnan(sheet)]), X.ravel())


def test_sample_grid_is_square_by_itself():
    assert sheet_of(plot.sample_grid(np.ones((4, 9)))).shape == (9, 9)
    assert sheet_of(plot.sample_grid(np.ones((1, 1)))).shape == (3, 3)


@pytest.mark.parametrize(
    ("X", "options", "match"),
    [
        (np.ones((2, 7)), {}, "7 features"),
        (np.ones((2, 6)), {"shape": (2, 2)}, "6 features"),
        (np.ones(9), {}, "one image a row"),
        (np.ones((0, 9)), {}, "one image a row"),
        (np.ones((2, 9)), {"n_columns": -1}, "at least 1"),
    ],
)
def test_what_is_no_grid(X, options, match):
    with pytest.raises(ValueError, match=match):
        plot.sample_grid(X, **options)


def test_latent_scatter():
    Z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    ax = plot.latent_scatter(Z, ["b", "a", "b"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), Z[[0, 2]])
    assert plot.latent_scatter(Z).get_legend() is None
    # more components: the two of most variance
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) + 1e-9 * rng.normal(size=(200, 6))
    points = plot.latent_scatter(wide).collections[0].get_offsets()
    distance = np.linalg.norm(wide[:, None] - wide, axis=2)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points, axis=2), distance, atol=1e-6)
    for bad, y in ((Z[:, :1], None), (Z, ["a"]), (Z[0], None)):
        with pytest.raises(ValueError, match="must have"):
            plot.latent_scatter(bad, y)


def test_loss_curves():
    lines = plot.loss_curves(SimpleNamespace(loss_curve_=[3.0, 2.0])).get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[3.0, 2.0]]
    named = [{"generator": 1.0, "discriminator": 2.0}, {"generator": 3.0, "discriminator": 4.0}]
    ax = plot.loss_curves(SimpleNamespace(loss_curve_=named))
    assert [line.get_label() for line in ax.get_lines()] == ["generator", "discriminator"]
    assert ax.get_lines()[1].get_ydata().tolist() == [2.0, 4.0]


def test_axes_given_are_used():
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    assert plot.sample_grid(np.ones((4, 9)), ax=ax) is ax
    assert plot.latent_scatter(np.eye(2), ax=ax) is ax
    assert plot.loss_curves(SimpleNamespace(loss_curve_=[1.0]), ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot.sample_grid(np.ones((4, 9)))
