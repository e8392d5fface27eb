"""Estimators of scikit-learn that train one run: for Pipeline, cross_val_score and GridSearchCV."""

# scikit-learn has no types.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from exp.base_estimator import BaseExpEstimator
from exp.cli.python_data import WEIGHTS, WeighedArrays
from exp.data.frame import FrameLike, import_pandas
from exp.data.reading.gaps import EMPTY_WORDS
from exp.errors import pluralize

# A class that a table has by this name, whatever else its column holds.
_PLAIN_NAME = re.compile(r"[^\W\d_]\w+")

# A table reads cells of numbers in float64, which tells whole numbers below it apart.
_MAX_PLAIN = 10**15


class ExpRegressor(RegressorMixin, BaseExpEstimator):
    """A network that predicts one or several numbers, as an estimator of scikit-learn.

    Its parameters and attributes are those of `BaseExpEstimator`.

    Examples:
        >>> from sklearn.datasets import load_diabetes
        >>> from exp import ExpRegressor
        >>> x, y = load_diabetes(return_X_y=True)
        >>> model = ExpRegressor(epochs=20, random_state=0).fit(x[:300], y[:300])
        >>> model.predict(x[300:]).shape
        (142,)
        >>> model.score(x[300:], y[300:]) > 0.4  # R²
        True
    """

    def fit(self, X: FrameLike | ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Train one run. `random_state` seeds all that is random in it.

        Args:
            X: Rows `[N, F]`: a DataFrame, which may have words, dates and gaps, or an array of finite numbers.
            y: Finite numbers `[N]` or `[N, K]`, in a unit of their own: they are standardised for training.
            sample_weight: A number >= 0 for each row `[N]`, its weight in the loss and in the metrics; None: all weigh
                the same.

        Returns:
            The estimator itself.

        Raises:
            ValueError: The rows or a parameter are wrong; the message says what is right.
        """
        x, given = self._check_rows(X, _needed(self, y), reset=True)
        if np.asarray(given).dtype.kind in "mM":
            raise ValueError(
                f"y has dates or durations, {given[0]!r}, and no numbers\n  try: numbers of days or seconds"
            )
        values = np.asarray(given, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("y has NaN or infinite values\n  try: fit without these rows")
        self._is_flat = values.ndim == 1
        weights = self._check_weights(sample_weight, len(x))
        if not hasattr(x, "columns"):
            return self._fit(WeighedArrays(x, values, None, weights), x, **_of_weights(weights))
        x, of_weights = _with_weights(x, weights)
        columns = values.reshape(len(values), -1)
        names = [_free_name(f"{_name_of(y)}{n or ''}", x) for n in range(columns.shape[1])]
        target = import_pandas().DataFrame(dict(zip(names, columns.T, strict=True)))
        return self._fit((x, target), x, dataset__task="regression", **of_weights)

    def predict(self, X: FrameLike | ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the predicted numbers, in the unit of y.

        Args:
            X: Rows `[N, F]` with the columns of `fit`.

        Returns:
            Numbers `[N]`, or `[N, K]` if `fit` had several.

        Raises:
            ValueError: A column is missing, or a row has a gap that the model does not fill.
            NotFittedError: `fit` was not called.
        """
        values = np.stack([values.astype(np.float64) for values in self._predict(X).values()], axis=1)
        return values[:, 0] if self._is_flat else values

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class ExpClassifier(ClassifierMixin, BaseExpEstimator):
    """A network that predicts classes, as an estimator of scikit-learn. Labels may be words or numbers.

    Its parameters and attributes are those of `BaseExpEstimator`, and `classes_`, the sorted labels `[K]`.

    Examples:
        >>> from sklearn.datasets import load_wine
        >>> from sklearn.model_selection import cross_val_score
        >>> from exp import ExpClassifier
        >>> x, y = load_wine(return_X_y=True)
        >>> cross_val_score(ExpClassifier(model="mlp", epochs=30, random_state=0), x, y, cv=3).mean() > 0.9
        np.True_
    """

    def fit(self, X: FrameLike | ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Train one run. `random_state` seeds all that is random in it.

        Args:
            X: Rows `[N, F]`: a DataFrame, which may have words, dates and gaps, or an array of finite numbers.
            y: Labels `[N]` of at least two classes.
            sample_weight: A number >= 0 for each row `[N]`, its weight in the loss and in the metrics; None: all weigh
                the same.

        Returns:
            The estimator itself.

        Raises:
            ValueError: The rows or a parameter are wrong; the message says what is right.
        """
        if gaps := int(np.count_nonzero(import_pandas().isna(_needed(self, y)))):
            raise ValueError(f"y contains NaN, or None, in {pluralize(gaps, 'row')}\n  try: fit without these rows")
        x, given = self._check_rows(X, y, reset=True)
        labels = column_or_1d(given, warn=True)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_.tolist()[0]!r}: give rows of at least two classes")
        names = _class_names(self.classes_.tolist())
        weights = self._check_weights(sample_weight, len(x))
        counts = np.bincount(codes if weights is None else codes[weights != 0], minlength=len(self.classes_))
        if not counts.all():
            absent = self.classes_.tolist()[int(np.argmin(counts))]
            what = f"sample_weight: it is zero in every row of the class {absent!r}"
            raise ValueError(f"{what}\n  try: fit without the rows of this class")
        share = self._validation_share()
        of_task = {"dataset__stratify": True} if counts.min() * share >= 1 else dict[str, Any]()
        if not hasattr(x, "columns"):
            return self._fit(WeighedArrays(x, codes, np.array(names), weights), x, **of_task, **_of_weights(weights))
        x, of_weights = _with_weights(x, weights)
        target = import_pandas().Series(np.array(names)[codes], name=_free_name(_name_of(y), x))
        return self._fit((x, target), x, dataset__task="classes", **of_task, **of_weights)

    def predict_proba(self, X: FrameLike | ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class.

        Args:
            X: Rows `[N, F]` with the columns of `fit`.

        Returns:
            Probabilities `[N, K]` in the order of `classes_`, which add up to 1 in each row.

        Raises:
            ValueError: A column is missing, a row has a gap that the model does not fill, or the loss gives no
                probabilities.
            NotFittedError: `fit` was not called.
        """
        columns = self._predict(X)  # which checks that it is fitted
        if len(columns) == 1:
            raise ValueError("the loss gives no probabilities\n  try: loss='bce_with_logits'")
        names = [f"probability {name}" for name in _class_names(self.classes_.tolist())]
        probabilities = np.stack([columns[name].astype(np.float64) for name in names], axis=1)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict(self, X: FrameLike | ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the label of the most probable class of each row.

        Args:
            X: Rows `[N, F]` with the columns of `fit`.

        Returns:
            Labels `[N]`.

        Raises:
            ValueError: A column is missing, or a row has a gap that the model does not fill.
            NotFittedError: `fit` was not called.
        """
        predicted = self._predict(X)["prediction"]
        places = {name: place for place, name in enumerate(_class_names(self.classes_.tolist()))}
        return self.classes_[[places[str(name)] for name in predicted]]


def _of_weights(weights: Any, name: str = WEIGHTS) -> dict[str, str]:
    """Return the override that names the weights of the rows, if there are some."""
    return {} if weights is None else {"dataset__weight": name}


def _with_weights(x: Any, weights: Any) -> tuple[Any, dict[str, str]]:
    """Return a DataFrame with a column of weights, and the override that names it; or as it is if there are none."""
    name = _free_name(WEIGHTS, x)
    return x if weights is None else x.assign(**{name: weights}), _of_weights(weights, name)


def _needed(estimator: BaseEstimator, y: Any) -> Any:
    if y is None:
        raise ValueError(f"requires y to be passed, but the target y is None: {type(estimator).__name__}().fit(X, y)")
    return y


def _name_of(y: Any) -> str:
    return str(getattr(y, "name", None) or "target")


def _free_name(name: str, frame: Any) -> str:
    """Return the name, or a longer one that no column has."""
    while name in map(str, frame.columns):
        name += "_"
    return name


def _class_names(labels: Sequence[Any]) -> list[str]:
    """Return a name for each class that a table has whatever the labels are: the label itself if it can be one."""
    names = [str(label) for label in labels]
    is_plain = all(
        abs(label) < _MAX_PLAIN if isinstance(label, int) else _PLAIN_NAME.fullmatch(str(label)) for label in labels
    )
    is_plain &= len(set(names)) == len(names) and not set(names) & set(EMPTY_WORDS)
    return names if is_plain else [f"{place}: {name!r}" for place, name in enumerate(names)]
