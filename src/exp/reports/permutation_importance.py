"""Permutation importance: how much worse a trained model is if the values of a column are shuffled among the rows.

The importance of a column is the loss of the rows with the column permuted, less their loss as they are, averaged over
several permutations; with another metric, the difference has the sign that makes worse positive. All features that the
column makes are permuted together. The permutations are those of scikit-learn's permutation_importance with
random_state=seed, so the importances are its importances.

The importance estimates how much the loss of this model, with these parameters, rises on new rows if the column is
independent of everything else in the row. The interval is for that number: the mean plus and minus t standard errors,
over samples of rows and over permutations. A row matters twice in a permutation: its target is compared with a
prediction, and its value goes to another row. So the standard error is a jackknife that leaves out both. That of the
rows' own increases alone ignores the second part; its intervals hold the true importance of strong columns in 80 to
90 % of samples instead of 95 %. With few repeats the intervals are too wide: they count the permutations twice. A
column that changed the metric in no repeat has no interval.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from exp.data.columns.column import Floats
from exp.data.seeding import numpy_seed, preserved_streams
from exp.data.splits import Split
from exp.errors import DataError
from exp.reports.jackknife import make_jackknife
from exp.reports.metric_cost import MetricCost, Rows
from exp.results.importance_csv import ColumnImportance, Importances
from exp.results.t_tests import interval_reach
from exp.results.trained_model import TrainedModel
from exp.training.devices import use_threads
from exp.training.member_models import MAX_ROWS


def compute_importances(
    trained: TrainedModel,
    split: str,
    metric: str,
    repeats: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> Importances:
    """Return the importance of each column for the rows of the run's `split`, the largest first.

    Random streams and parameters are left unchanged.

    Args:
        metric: loss, or a metric of the kind of the run's target.
        repeats: The number of permutations.
        seed: The seed of the permutations.
        on_progress: Called after each permutation of a column, with their number so far.

    Raises:
        ConfigError: There is no such split, or the metric is not for the run's target or loss.
        DataError: The split has one row, or its rows do not define the metric.
    """
    with preserved_streams():
        cost, rows, model = MetricCost.of(trained, split, metric), trained.split(split), trained.experiment.model
        if len(rows) < 2:
            raise DataError(f"split={split}: it has one row, but a permutation needs two or more", "split=train")
        use_threads(trained.config.threads, len(rows) * sum(parameter.numel() for parameter in model.parameters()))
        output = cost.convert(trained.outputs_of(rows))
        if not math.isfinite(cost.of_all(output)):
            raise DataError(f"metric={metric}: the {len(rows):,} {split} rows do not define it", "another metric")
        orders = list(permutations(len(rows), repeats, seed))
        jackknife = make_jackknife(cost, output, orders, seed)
        columns: list[ColumnImportance] = []
        start = 0
        for column in trained.preprocessing.columns:
            features = slice(start, start := start + len(column.features))
            done = repeats * len(columns)
            outputs = (cost.convert(_predict_permuted(trained, rows, features, order)) for order in orders)
            outputs = _count(outputs, done, on_progress)
            columns.append(_importance(column.name, *jackknife.compare(outputs, orders)))
    columns.sort(key=lambda one: (math.isnan(one.mean), -one.mean))
    return Importances(tuple(columns), metric, split, len(rows), trained.parameters, trained.step, seed)


def _count(outputs: Iterator[Tensor], done: int, on_progress: Callable[[int], None] | None) -> Iterator[Tensor]:
    """Yield the outputs, and report after each one how many permutations are done, of which `done` were before."""
    for number, output in enumerate(outputs, done + 1):
        yield output
        if on_progress is not None:
            on_progress(number)


def permutations(rows: int, repeats: int, seed: int) -> Iterator[Rows]:
    """Yield for each repeat which row [N] each row gets its value from, as scikit-learn draws it."""
    first = np.random.RandomState(numpy_seed(seed))
    draw = np.random.RandomState(first.randint(np.iinfo(np.int32).max + 1))
    order, shuffled = np.arange(rows), np.arange(rows)
    for _ in range(repeats):
        draw.shuffle(shuffled)
        order = order[shuffled]  # scikit-learn shuffles the column that it shuffled before
        yield order


def _importance(name: str, of_repeats: Sequence[float], influences: Floats) -> ColumnImportance:
    """Return the importance with its interval.

    Args:
        influences: How much the mean of the repeats depends on each of the parts that a jackknife leaves out.
    """
    count = len(influences)
    with np.errstate(invalid="ignore"):  # infinite losses
        error = float(np.std(influences, ddof=1)) / math.sqrt(count)
    if error == 0:  # the metric of these rows did not change, which does not mean that it never does
        error = math.nan
    mean, reach = float(np.mean(of_repeats)), interval_reach(count) * error
    return ColumnImportance(name, mean, mean - reach, mean + reach, tuple(of_repeats))


def _predict_permuted(trained: TrainedModel, rows: Split, features: slice, order: Rows) -> Tensor:
    """Return the outputs [N, K] for rows in which each has the `features` of the row in `order`."""
    outputs: list[Tensor] = []
    for start in range(0, len(rows), MAX_ROWS):
        x = rows.x[start : start + MAX_ROWS].clone()
        x[:, features] = rows.x[:, features][torch.from_numpy(order[start : start + MAX_ROWS]).to(x.device)]
        outputs.append(trained.outputs_of(replace(rows, x=x)))
    return torch.cat(outputs)
