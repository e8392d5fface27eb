"""What the estimators of scikit-learn have in common: parameters as overrides, and a run for each fit."""

# scikit-learn has no types.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from exp.api import ONE_AT_A_TIME, run_and_load
from exp.cli.python_calls import to_overrides
from exp.cli.python_objects import split_objects
from exp.data.frame import import_pandas
from exp.errors import ExpError, pluralize
from exp.result import Result
from exp.results.new_table import read_new_frame
from exp.results.trained_model import TrainedModel
from exp.training.predictions import Columns

# What a DataFrame trains by default, for arrays too.
_RECIPE = {"model": "tabm_small", "optimizer": "tabular_adamw"}

_LARGEST_SEED = 2**31 - 1

# Keys that `fit` sets itself, and what decides instead.
_SET_BY_FIT = {
    "seed": "random_state=0, which is the seed of the run",
    "folds": "cross_val_score(estimator, X, y, cv=5)",
    "dataset__target": "fit(X, y), where y is the target",
    "hydra__run__dir": "folder='runs', where the folder of each fit is kept",
}


class BaseExpEstimator(BaseEstimator):
    """What both estimators do. Each parameter is one of the keys of `exp`; None leaves what `exp` has for tables.

    Args:
        model: The network: an option such as `tabm_small` or `mlp`; or a module, of which each fit trains a copy.
        optimizer: An option such as `adamw`.
        scheduler: An option such as `cosine`.
        loss: An option such as `huber`.
        batching: An option such as `minibatch`.
        epochs: The number of passes over the training rows; early stopping may end training before.
        metric: The metric of the validation rows by which training stops and the parameters are chosen.
        validation_fraction: The share of the rows of `fit` that decide this, and are not trained on; 0: none.
        random_state: A number is the seed of the run. A generator, or None for NumPy's global one, draws the seed.
        folder: Where the folder of each run is kept; None: it is temporary, and removed at the end of `fit`.
        verbose: 1 prints what the command line prints.
        overrides: Other keys, with `__` for the dots: `optimizer__lr=0.01`, `early_stopping__patience=5`.

    Attributes:
        trained_: The trained model, with its preprocessing. `trained_.model` is the module.
        summary_: What summary.json says of the run: rows, metrics, seed, versions.
        history_: metrics.csv as a DataFrame.
        result_: The run in its folder; None if the folder was temporary.
        seed_: The seed of the run.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        optimizer: str | None = None,
        scheduler: str | None = None,
        loss: str | None = None,
        batching: str | None = None,
        epochs: int | None = None,
        metric: str | None = None,
        validation_fraction: float = 0.2,
        random_state: Any = None,
        folder: str | Path | None = None,
        verbose: int = 0,
        **overrides: Any,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.loss = loss
        self.batching = batching
        self.epochs = epochs
        self.metric = metric
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.folder = folder
        self.verbose = verbose
        vars(self).update(overrides)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of `overrides` among them, by name. `deep` changes nothing."""
        return {**super().get_params(deep), **self._overrides()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, by name; keys of `exp` have `__` for the dots, and are checked by `fit`."""
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _overrides(self) -> dict[str, Any]:
        """Return the parameters that the signature does not name."""
        named = self._get_param_names()
        return {name: value for name, value in vars(self).items() if name not in named and not _is_own(name)}

    def _refuse_keys_of_fit(self) -> None:
        """Raise ValueError if a parameter is a key that `fit` sets itself, and so would be without effect."""
        for name, value in self._overrides().items():
            if name in _SET_BY_FIT:
                raise ValueError(f"{name}={value!r} is no parameter of an estimator\n  try: {_SET_BY_FIT[name]}")

    def _validation_share(self) -> float:
        """Return the share of rows for validation. ValueError if it is none."""
        share: Any = self.validation_fraction or 0
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) < 1:
            raise ValueError(
                f"validation_fraction must be a number from 0 to below 1, the share of the rows, got {share!r}"
            )
        return float(share)

    def _fit(self, rows: Any, x: Any, **of_task: Any) -> Self:
        """Train the run of `rows`, whose features are `x`, a DataFrame or an array [N, F]."""
        self._refuse_keys_of_fit()
        count = len(x)
        named = ("model", "optimizer", "scheduler", "loss", "batching", "epochs", "metric")
        values = {name: value for name in named if (value := getattr(self, name)) is not None}
        if not hasattr(x, "columns") and "experiment" not in self._overrides():
            values = {**_RECIPE, **values}
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(_LARGEST_SEED)
        share = self._validation_share()
        share = share if count * share >= 1 else 0
        split = {"dataset__split": [1 - share, share, 0]}
        values = {"figures": self.folder is not None and "auto", **split, **of_task, **values, **self._overrides()}
        with ONE_AT_A_TIME, TemporaryDirectory(prefix="exp-") as temporary, _as_value_error():
            kept = Path(self.folder or "", datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f"))
            place = Path(temporary, "run") if self.folder is None else kept
            objects = split_objects((rows,), {**values, "seed": int(seed), "hydra.run.dir": place})
            words = to_overrides("train", objects.overrides, objects.values)
            result = Result(run_and_load(words, quiet=not self.verbose), held=objects.held)
            self.trained_: TrainedModel = result.trained
            self.summary_, self.history_ = result.summary, result.metrics
        self.result_ = None if self.folder is None else result
        self.seed_ = int(seed)
        return self

    def _check_rows(self, x: Any, y: Any = None, *, reset: bool) -> tuple[Any, Any]:
        """Return x, and y if there is one: a DataFrame as it is, everything else as arrays of numbers."""
        is_frame = hasattr(x, "columns") and isinstance(x, import_pandas().DataFrame)
        if not is_frame and y is not None:
            validated: Any = validate_data(
                self, x, y, reset=reset, multi_output=True, y_numeric=isinstance(self, RegressorMixin)
            )
            return validated
        if not is_frame:
            return validate_data(self, x, reset=reset), None
        validate_data(self, x, reset=reset, skip_check_array=True)
        if y is not None and len(x) != len(y):
            raise ValueError(f"X has {pluralize(len(x), 'row')}, and y {len(y)}")
        if not len(x):
            raise ValueError("X has no rows\n  try: a DataFrame with rows")
        return x, None if y is None else np.asarray(y)

    def _check_weights(self, given: Any, count: int) -> Any:
        """Return the weights float64 [N] of `count` rows, or None if there are none. The run checks their values.

        Raises:
            ValueError: They are not one number for each row, all zero, or `dataset__weight` names others.
        """
        if given is None:
            return None
        if "dataset__weight" in self._overrides():
            named = self._overrides()["dataset__weight"]
            raise ValueError(
                f"sample_weight: dataset__weight={named!r} gives each row a weight, too\n"
                "  try: fit(X, y), or an estimator without dataset__weight"
            )
        try:
            weights = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"sample_weight: {error}\n  try: a number >= 0 for each row") from error
        if weights.shape != (count,):
            what = f"sample_weight has the shape {weights.shape}, and X {pluralize(count, 'row')}"
            raise ValueError(f"{what}\n  try: a number >= 0 for each row")
        if not weights.any():  # scikit-learn checks that the error says so
            raise ValueError("sample_weight is zero in every row\n  try: a number > 0 for each row to train on")
        return weights

    def _predict(self, x: Any) -> Columns:
        """Return the columns of `Result.predict` for the rows of `x`. ValueError if a row has none, for its gaps."""
        check_is_fitted(self)
        x, _ = self._check_rows(x, reset=False)
        trained = self.trained_
        with _as_value_error():
            if not hasattr(x, "columns"):
                return trained.predict(np.asarray(x, dtype=np.float64))
            table = read_new_frame(x, trained.config.dataset, trained.preprocessing)
            outputs, is_complete, _ = trained.outputs_of_table(table.frame, "X")
        if not is_complete.all():
            missing = pluralize(int((~is_complete).sum()), "row")
            raise ValueError(f"{missing} of X with gaps that the model does not fill")
        return trained.columns_of(outputs)


@contextmanager
def _as_value_error() -> Generator[None]:
    """Raise ValueError, which scikit-learn expects, with parameters in place of overrides."""
    try:
        yield
    except ExpError as error:
        text = re.sub(r"\n(  log|corrected): .*", "", str(error))  # a folder that is removed, and a command line
        # In double quotes are the overrides of a call of train or sweep, whose keys have dots.
        raise ValueError(re.sub(r"(?<![\".\w])[a-z_]+(\.[a-z_]+)+(?=[='])", _as_parameter, text)) from error


def _as_parameter(key: re.Match[str]) -> str:
    return key[0].replace(".", "__")


def _is_own(name: str) -> bool:
    """Return whether an attribute is not a parameter: it is private, or known only after `fit`."""
    return name.startswith("_") or name.endswith("_") or name == "n_features_in_"
