"""Evaluations of the validation rows between the steps of a call."""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor

from exp.data.batches import Stream
from exp.data.splits import Split
from exp.data.stack import Stack
from exp.engine.tensor_state import copy_tensors, overwrite
from exp.errors import ExpError
from exp.training.events import State
from exp.training.learner import Learner
from exp.training.metrics import MetricSums
from exp.training.parameters import KEYS
from exp.training.split_metrics import compute_metrics


class Validation:
    """Evaluates `rows` between steps, and computes the metrics of many evaluations at once."""

    def __init__(self, learner: Learner, rows: Split) -> None:
        self._learner, self._rows = learner, rows
        self._live: State | None = None  # the learner's parameters, during a call
        self._steps: list[int] = []
        self._results: list[tuple[Tensor, Tensor]] = []  # loss and outputs at each of them
        self._error: ExpError | None = None  # of the last of them
        self._copies: list[State] = []  # the parameters at each of them, and then older copies, to be overwritten

    def stacks(self, stream: Stream, start: int, evaluations: Iterable[int], stop: int) -> Iterator[Stack]:
        """Yield the batches of the steps from `start` to `stop`, and evaluate after those of `evaluations`.

        Make the steps of a stack before the next one is taken.
        """
        for step in evaluations:
            yield from stream.take(step - start)
            self._evaluate(step)
            self._learner.set_training_mode()
            start = step
        yield from stream.take(stop - start)

    def _evaluate(self, step: int) -> None:
        """Evaluate the rows after `step`, if there are any, and copy the parameters."""
        if not len(self._rows) or self._error is not None:
            return
        self._steps.append(step)
        try:
            self._results.append(self._learner.loss_and_outputs(self._rows))
        except ExpError as error:  # it waits for what was done before it
            self._error = error
            return
        place = len(self._steps) - 1
        if self._live is None:
            self._live = self._learner.get_parameters()
        if place == len(self._copies):
            self._copies.append(copy_tensors(self._live))
        else:
            overwrite(_tensors_of(self._copies[place]), _tensors_of(self._live))

    def take(self) -> Iterator[tuple[int, MetricSums | ExpError, State]]:
        """Yield the step of each evaluation since the last call, its metrics or what failed, and the parameters."""
        steps, results, self._live = self._steps, self._results, None
        self._steps, self._results = [], []
        # One wait for the device.
        means = cast("list[float]", torch.stack([loss for loss, _ in results]).tolist() if results else [])
        for step, mean, (_, output), parameters in zip(steps, means, results, self._copies, strict=False):
            try:
                metrics = compute_metrics(self._learner.objective, output, self._rows, mean)
            except ExpError as error:
                metrics = error
            yield step, metrics, parameters
        if self._error is not None:
            yield steps[-1], self._error, {}


def _tensors_of(state: State) -> list[Tensor]:
    return [tensor for key in KEYS for tensor in state[key].values()]
