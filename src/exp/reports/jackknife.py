"""Jackknife of the increase of a cost by permutations of the rows.

A row matters twice in a permutation: its target is compared with a prediction, and its value goes to another row. So a
row is left out together with the row that has its value. `orders` are permutations: row i gets its value from order[i].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from torch import Tensor

from exp.data.columns.column import Floats
from exp.data.seeding import numpy_seed
from exp.reports.metric_cost import MetricCost, Rows

# Groups of rows that are left out, one at a time.
_GROUPS = 30


class Jackknife(Protocol):
    def compare(self, outputs: Iterable[Tensor], orders: Sequence[Rows]) -> tuple[list[float], Floats]:
        """Compare the outputs for permuted rows, one for each of `orders`, to those for the unpermuted rows.

        Returns:
            The increase of the cost by each permutation, and the influence of each part of the rows on their mean.
        """
        ...


def make_jackknife(cost: MetricCost, output: Tensor, orders: Sequence[Rows], seed: int) -> Jackknife:
    """Return the jackknife for outputs [N, K] of the unpermuted rows: over rows if the cost is a mean over them."""
    losses = cost.losses(output)
    if losses is not None:
        return RowJackknife(cost, losses, cost.weights)
    count = min(len(output), _GROUPS)
    groups = np.random.RandomState(numpy_seed(seed)).permutation(len(output)) % count
    plain = GroupJackknife(cost, count, groups, cost.of_all(output), [])
    return replace(plain, before=[plain.costs(output, order) for order in orders])


@dataclass(frozen=True)
class RowJackknife:
    """Leaves out one row at a time, for a loss that is the weighted mean of `losses` [N]: exact to first order."""

    cost: MetricCost
    losses: Floats
    weights: Floats

    def compare(self, outputs: Iterable[Tensor], orders: Sequence[Rows]) -> tuple[list[float], Floats]:
        increases: list[float] = []
        totals, weights = np.zeros(len(self.losses)), np.zeros(len(self.losses))
        for output, order in zip(outputs, orders, strict=True):
            losses = self.cost.losses(output)
            of_row = self.weights * (np.full(len(order), np.nan) if losses is None else losses - self.losses)
            increases.append(float(of_row.sum() / self.weights.sum()))
            for total, part in ((totals, of_row), (weights, self.weights)):
                total += part
                total[order] += part
        influences = (totals - float(np.mean(increases)) * weights) / (len(orders) * self.weights.mean())
        return increases, influences


@dataclass(frozen=True)
class GroupJackknife:
    """Leaves out one of `groups` of rows at a time, for any metric.

    Args:
        group_of: The group of each row [N].
        whole: The cost of all unpermuted rows.
        before: The costs of the unpermuted rows, for each permutation and each group that is left out.
    """

    cost: MetricCost
    groups: int
    group_of: Rows
    whole: float
    before: list[list[float]]

    def compare(self, outputs: Iterable[Tensor], orders: Sequence[Rows]) -> tuple[list[float], Floats]:
        increases: list[float] = []
        changes = np.zeros(self.groups)
        for output, order, before in zip(outputs, orders, self.before, strict=True):
            increases.append(self.cost.of_all(output) - self.whole)
            changes += np.array(self.costs(output, order)) - np.array(before) - increases[-1]
        scale = (self.groups - 1) ** 2 / self.groups  # the share of the pairs that remain, times the groups
        return increases, -scale * changes / len(orders)

    def costs(self, output: Tensor, order: Rows) -> list[float]:
        """Return the costs without the rows of each group, and without the rows that have their values."""
        sources = self.group_of[order]
        kept = ((self.group_of != group) & (sources != group) for group in range(self.groups))
        return [self.cost.of_some(output, np.flatnonzero(rows)) for rows in kept]
