"""The error of a loss or a metric that is no number."""

import math
from collections.abc import Sequence

from exp.config.own_metrics import is_own
from exp.data.far_values import FAR
from exp.data.splits import Splits
from exp.errors import ConfigError, Diverged, pluralize
from exp.training.check_features import FAR_FIX, describe_far_values
from exp.training.learner import Learner


def training_diverged(learner: Learner, data: Splits, losses: Sequence[float], first_step: int, lr: float) -> Diverged:
    """Return the error that names the first of `losses` that is NaN or infinite.

    Args:
        losses: Those of the steps from `first_step`.
        lr: The learning rate of these steps.
    """
    index, loss = next((i, loss) for i, loss in enumerate(losses) if not math.isfinite(loss))
    return _diverged(learner, data, "training", loss, first_step + index, lr)


def validation_diverged(learner: Learner, data: Splits, loss: float, step: int) -> Diverged:
    """Return the error of a validation loss that is NaN or infinite."""
    error = _diverged(learner, data, "validation", loss, step, learner.lr)
    far = describe_far_values(data, "val")
    if far:
        robust = {"key": "dataset.scaler", "override": "dataset.scaler=robust"}
        return Diverged(f"{error.problem}: {far}", FAR_FIX, step=step, **robust)
    return error


def _diverged(learner: Learner, data: Splits, kind: str, loss: float, step: int, lr: float) -> Diverged:
    divides_by_zero = learner.optimizer.defaults.get("eps") == 0  # where a gradient is 0, as of a dead ReLU
    is_large = data.preprocessing.scaler is None and float(data.train.largest.max()) > FAR
    first = "dataset.scaler=standard, or " if is_large else "optimizer.eps=1e-8, or " if divides_by_zero else ""
    fix = f"{first}a smaller learning rate, optimizer.lr={min(lr / 10, 0.01):.3g}, or clip_grad_norm=1.0"
    return Diverged(f"the {kind} loss became {loss} at step {step}", fix, step=step)


def undefined_metric(metric: str, rows: int) -> ConfigError:
    """Return the error of a deciding metric without a value for the validation rows."""
    what, fix = f"{pluralize(rows, 'validation row')} cannot define it", "dataset.stratify=true, more"
    if is_own(metric):
        what, fix = f"it returned NaN or None for {pluralize(rows, 'validation row')}", "other"
    return ConfigError(
        f"metric={metric}: {what}",
        f"{fix} validation rows, or metric=loss",
        key="metric",
        override="metric=loss",
    )
