"""Synthetic datasets. Like scikit-learn's generators, each returns (x, y) and is random by `random_state` alone."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


Classes = NDArray[np.int64]


def xor() -> tuple[Floats, Classes]:
    """Return the four corners of the unit square; class 1 where exactly one coordinate is 1."""
    return np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])


def noisy_xor(n_samples: int = 3500, noise: float = 0.1, random_state: int = 0) -> tuple[Floats, Classes]:
    """Return noisy corners of the unit square: each coordinate plus N(0, noise).

    The class is 1 where exactly one coordinate of the corner is 1.
    """
    rng = np.random.default_rng(random_state)
    corners = rng.integers(0, 2, size=(n_samples, 2))
    return corners + rng.normal(0, noise, size=(n_samples, 2)), (corners.sum(axis=1) == 1).astype(np.int64)


def signal_background(signal: int = 100, background: int = 1000, random_state: int = 0) -> tuple[Floats, Classes]:
    """Return `signal` points of N([1, 0], I), class 1, and `background` points of U(-5, 5)^2, class 0, shuffled."""
    rng = np.random.default_rng(random_state)
    points = np.vstack([rng.multivariate_normal([1, 0], np.eye(2), signal), rng.uniform(-5, 5, size=(background, 2))])
    classes = np.repeat([1, 0], [signal, background])
    order = rng.permutation(signal + background)
    return points[order], classes[order]


def distance(noise: float = 0.005, random_state: int = 0) -> tuple[Floats, Floats]:
    """Return 40,401 points of a grid, and twice their distance from the origin plus U(-noise, noise).

    Each coordinate is one of -10, -9.9, ..., 10.
    """
    axis = np.linspace(-10, 10, 201)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    jitter = np.random.default_rng(random_state).uniform(-noise, noise, len(points))
    return points, 2 * np.sqrt((points**2).sum(axis=1)) + jitter
