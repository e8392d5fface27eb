"""Confidence interval of a mean, and paired t-test, for results whose training rows overlap.

The folds of a cross-validation, and runs on several random splits of the same rows, share most of their training rows.
Their results are correlated, and a plain t-test takes chance for a difference too often: at the 5 % level in 6 to 35 %
of the pairs of equally good choices in benchmarks/null_sweeps.py. Nadeau and Bengio estimate the correlation of two
results as n_test / (n_test + n_train), which gives the variance of the mean of n results with sample variance s^2

    var = (1 / n + n_test / n_train) s^2

and t = mean / sqrt(var) with n - 1 degrees of freedom: the corrected resampled t-test. `ratio` is n_test / n_train; 0,
for independent results, gives the plain t-test.

C. Nadeau, Y. Bengio: Inference for the Generalization Error. Machine Learning 52, 239-281 (2003). R. R. Bouckaert,
E. Frank: Evaluating the Replicability of Significance Tests for Comparing Learning Algorithms. PAKDD 2004: the same for
repeated cross-validation.

The interval is for the mean over samples of as many training rows, not for the model that is trained on all rows. It
assumes results, or differences, that are roughly normal, and the correlation above, which is an estimate: the true one
depends on the model. In the same simulation it holds the true mean in 94 to 99 %, and the test finds a difference where
there is none in 1 to 4 %.
"""

import importlib
import math
import statistics
from collections.abc import Sequence
from typing import TypeAlias

Interval: TypeAlias = tuple[float, float]

LEVEL = 0.95


# A smaller spread, relative to the values, is rounding: losses are sums in float32.
ROUNDING = 1e-6


def prepare() -> None:
    """Import scipy ahead of the first interval. It takes 0.2 s, and few sweeps have repeats."""
    importlib.import_module("scipy.special")


def mean_interval(values: Sequence[float], ratio: float, level: float = LEVEL) -> Interval | None:
    """Return the interval of the mean, of 95 %; None if the values are fewer than two, all equal, or not finite."""
    if math.isnan(ratio) or not _has_spread(values, max(map(abs, values), default=0.0)):
        return None
    mean = statistics.fmean(values)
    reach = interval_reach(len(values), level) * _standard_error(values, ratio)
    return mean - reach, mean + reach


def interval_reach(count: int, level: float = LEVEL) -> float:
    """Return how many standard errors the interval, of 95 %, of a mean of `count` > 1 values reaches to each side."""
    from scipy.special import stdtrit  # lazy: see `prepare`

    return float(stdtrit(count - 1, (1 + level) / 2))


def compute_paired_p_value(first: Sequence[float], second: Sequence[float], ratio: float) -> float | None:
    """Return the two-sided p-value of the paired test, for the results of two choices in the same repeats.

    It is None where there is no test: for fewer than two pairs, and for differences that are all equal. A discrete
    metric, or a seed without effect, gives equal differences, and these say nothing about chance.
    """
    differences = [one - other for one, other in zip(first, second, strict=True)]
    if math.isnan(ratio) or not _has_spread(differences, max(map(abs, (*first, *second)), default=0.0)):
        return None
    from scipy.special import stdtr

    t = statistics.fmean(differences) / _standard_error(differences, ratio)
    return 2 * float(stdtr(len(differences) - 1, -abs(t)))


def paired_interval(first: Sequence[float], second: Sequence[float], ratio: float, level: float) -> Interval | None:
    """Return the interval of the mean of `second` - `first`, results in the same repeats; None where there is no test.

    It excludes 0 where the p-value of `compute_paired_p_value` is below 1 - level.
    """
    if compute_paired_p_value(first, second, ratio) is None:
        return None
    return mean_interval([other - one for one, other in zip(first, second, strict=True)], ratio, level)


def _standard_error(values: Sequence[float], ratio: float) -> float:
    return math.sqrt((1 / len(values) + ratio) * statistics.variance(values))


def _has_spread(values: Sequence[float], size: float) -> bool:
    """Return whether there are two values, all are finite, and they differ by more than the rounding of `size`."""
    return len(values) > 1 and all(map(math.isfinite, values)) and max(values) - min(values) > ROUNDING * size
