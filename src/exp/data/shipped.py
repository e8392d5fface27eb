"""The datasets that scikit-learn ships, and make_moons, in the same bits without importing it: that takes a second."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MEASURED = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points"),
    *("symmetry", "fractal dimension"),
)

# The features of the datasets in a CSV file, by the name of the function that loads it. The files have no names.
_FEATURES = {
    "load_breast_cancer": (
        *(f"mean {name}" for name in _MEASURED),
        *(f"{name} error" for name in _MEASURED),
        *(f"worst {name}" for name in _MEASURED),
    ),
    "load_diabetes": ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
    "load_digits": tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
    "load_iris": ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    "load_wine": (
        *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
        *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines"),
        "proline",
    ),
}


@dataclass(frozen=True)
class Shipped:
    """Rows as in a Bunch of scikit-learn; `target_names` is None where it names no classes."""

    data: NDArray[np.float64]
    target: NDArray[Any]
    feature_names: Sequence[str] | None
    target_names: Sequence[str] | None


def load_shipped(_target_: str, **arguments: Any) -> Shipped | None:
    """Return the rows of a dataset of scikit-learn; None for other functions, other arguments, and without the file.

    Args:
        _target_: The dotted name of the function, such as "sklearn.datasets.load_iris".
        arguments: Those of the call.
    """
    module, _, name = _target_.rpartition(".")
    if module != "sklearn.datasets":
        return None
    if name == "make_moons":
        return _make_moons(**arguments) if _is_plain(**arguments) else None
    package = importlib.util.find_spec("sklearn")
    if name not in _LOADERS or arguments or package is None or package.origin is None:
        return None
    try:
        return _LOADERS[name](Path(package.origin).parent / "datasets" / "data", _FEATURES[name])
    except OSError:  # another version keeps the file elsewhere
        return None


def _read_csv(name: str) -> Callable[[Path, Sequence[str]], Shipped]:
    """Return the loader of a CSV file whose first line is "rows, features, class, class ..."."""

    def load(folder: Path, features: Sequence[str]) -> Shipped:
        with (folder / name).open(encoding="utf-8") as file:
            classes = next(file).strip().split(",")[2:]
            rows = np.loadtxt(file, delimiter=",")
        return Shipped(np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64), features, classes)

    return load


def _load_digits(folder: Path, features: Sequence[str]) -> Shipped:
    rows = np.loadtxt(folder / "digits.csv.gz", delimiter=",")
    return Shipped(rows[:, :-1], rows[:, -1].astype(np.int64), features, [str(digit) for digit in range(10)])


def _load_diabetes(folder: Path, features: Sequence[str]) -> Shipped:
    x = np.loadtxt(folder / "diabetes_data_raw.csv.gz")
    mean, deviation = x.mean(0), x.std(0)
    x = (x - mean) / deviation / len(x) ** 0.5
    return Shipped(x, np.loadtxt(folder / "diabetes_target.csv.gz"), features, None)


_LOADERS: dict[str, Callable[[Path, Sequence[str]], Shipped]] = {
    "load_breast_cancer": _read_csv("breast_cancer.csv"),
    "load_diabetes": _load_diabetes,
    "load_digits": _load_digits,
    "load_iris": _read_csv("iris.csv"),
    "load_wine": _read_csv("wine_data.csv"),
}


def _is_plain(n_samples: Any = None, noise: Any = None, random_state: Any = None, **others: Any) -> bool:
    """Return whether `_make_moons` takes these arguments. scikit-learn refuses wrong ones."""
    return (
        not others
        and (type(n_samples) is int and n_samples >= 1)
        and (noise is None or (type(noise) in (int, float) and 0 <= noise < np.inf))
        and (type(random_state) is int and 0 <= random_state < 2**32)
    )


def _make_moons(n_samples: int, random_state: int, noise: float | None = None) -> Shipped:
    generator = np.random.RandomState(random_state)
    outer, inner = (np.linspace(0, np.pi, count) for count in (n_samples // 2, n_samples - n_samples // 2))
    x = np.vstack([np.append(np.cos(outer), 1 - np.cos(inner)), np.append(np.sin(outer), 1 - np.sin(inner) - 0.5)]).T
    y = np.repeat([0, 1], [len(outer), len(inner)])
    order = np.arange(n_samples)
    generator.shuffle(order)
    x, y = x[order], y[order]
    if noise is not None:
        x += generator.normal(scale=noise, size=x.shape)
    return Shipped(x, y, None, None)
