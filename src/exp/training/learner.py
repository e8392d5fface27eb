"""The learner: train for many steps at a time, and evaluate a whole split. It accesses no files and no config."""

import copy
import math
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from exp.config.user_code import describe_error
from exp.data.mapped.maps import iterate_parts
from exp.data.seeding import preserved_streams
from exp.data.splits import Split
from exp.data.stack import Stack
from exp.engine.optimizers import without_dynamo
from exp.engine.precision import Precision
from exp.engine.replayed_evaluation import ReplayedEvaluations
from exp.engine.step import Step
from exp.engine.tensor_state import unchanged
from exp.errors import ConfigError, pluralize
from exp.training.compute_loss import compute_loss
from exp.training.events import State
from exp.training.member_models import average_members, join_outputs, rows_per_pass
from exp.training.metrics import Column, MetricSums
from exp.training.model_errors import STEP, model_errors
from exp.training.objectives import Objective
from exp.training.parameters import get_parameters, set_parameters
from exp.training.split_metrics import compute_loss_of, compute_metrics
from exp.training.step_metrics import compute_step_metrics, concatenate


@dataclass(frozen=True)
class Learner:
    """A model with what trains it; `step` performs the updates.

    `average`: The moving average of the model's parameters that is evaluated instead of them; None: there is none.
    `has_user_code`: One of them may draw from the global random streams of NumPy and Python.
    `precision`: How the model computes, also when it is evaluated.
    `scaler`: The scale of the loss, which `step` changes; None: it has none.
    `replayed`: Replays evaluations of the same rows; None: each is eager.
    """

    model: nn.Module
    objective: Objective
    optimizer: Optimizer
    step: Step
    scheduler: LRScheduler | None = None
    average: AveragedModel | None = None
    has_user_code: bool = False
    precision: Precision = field(default_factory=Precision)
    scaler: GradScaler | None = None
    replayed: ReplayedEvaluations | None = None

    def advance(
        self, stacks: Iterable[Stack], windows: Sequence[int], split: Split
    ) -> tuple[list[float], MetricSums[Column]]:
        """Train on the batches of `stacks`, one update for each.

        Args:
            stacks: Each is taken after the updates of the one before, so what yields them may evaluate in between, and
                then set the training mode again.
            windows: Number of batches in each logging window; the sum is the number of batches.
            split: The split that the batches come from (R^2 needs its variance).

        Returns:
            The loss of each batch before its update, and the metrics of the windows.

        Raises:
            ConfigError: The model fails on a batch.
        """
        self.set_training_mode()
        done: list[Stack] = []
        with self._errors(STEP), torch.no_grad():  # a step that needs gradients enables them
            results = self.step(_remember(stacks, done))
            # One synchronisation with the device for all steps: .item() in each step would wait every time.
            losses = cast(list[float], concatenate(results.losses).tolist())
        # Members are averaged in an order that follows from the strides; those of a single step may be any.
        outputs = average_members(self.model, concatenate(results.outputs).contiguous())
        return losses, compute_step_metrics(self.objective, done, losses, outputs, windows, split)

    def set_training_mode(self) -> None:
        """Set the mode of the next step, which an evaluation changes."""
        if self.has_user_code or not self.model.training:  # a train() of the user's may do more than to set the mode
            self.model.train()

    @property
    def network(self) -> nn.Module:
        """The model whose parameters are evaluated and kept."""
        return self.model if self.average is None else self.average.module

    def evaluate(self, split: Split) -> MetricSums:
        """Return the metrics of the whole split, without changing parameters or random state."""
        loss, output = self.loss_and_outputs(split)
        return compute_metrics(self.objective, output, split, loss)

    def loss_and_outputs(self, split: Split) -> tuple[Tensor, Tensor]:
        """Return loss and outputs [N, K] of the whole split, without changing parameters or random state."""

        def compute(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            output = self.predict(x)
            return compute_loss_of(self.objective, output, target), output

        # Several passes limit the memory; a replayed evaluation is one.
        replayed = self.replayed if len(split) <= rows_per_pass(self.network) else None
        return replayed(split.x, split.target, compute) if replayed else compute(split.x, split.target)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Return the outputs [N, K] for x [N, F], without changing parameters or random state."""
        network, device = self.network.eval(), next((p.device for p in self.model.parameters()), x.device)
        where = f"on {pluralize(len(x), 'row')} of {pluralize(x.shape[1], 'feature')}"
        with self._errors(where), self._restoring([], device):
            pieces = (rows.to(device) for rows in iterate_parts(x, rows_per_pass(network)))
            return join_outputs((self.precision.compute_outputs(network, rows).detach() for rows in pieces), len(x))

    def compute_gradients(self, split: Split) -> dict[str, Tensor]:
        """Return the gradient of the loss on the rows of one forward pass at most, for each parameter that has one.

        The model is in evaluation mode. Random state, buffers and the `grad` of the parameters are left unchanged.

        Raises:
            ConfigError: The model has no gradients in evaluation mode.
        """
        with self.unchanged(split.device):
            rows = rows_per_pass(self.model)
            _, gradients = self.differentiate(split.x[:rows].to(split.device), split.target[:rows])
        return {name: gradient for name, gradient in gradients.items() if gradient is not None}

    def differentiate(self, x: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor | None]]:
        """Return the outputs, and the gradient of the loss by parameter; None if the loss does not depend on it.

        Raises:
            ConfigError: The model fails, or has no gradients in its current mode.
        """
        with self._errors("to compute its gradients"), torch.enable_grad():
            output = self.precision.compute_outputs(self.model, x)
            loss = compute_loss(self.objective.criterion, output, target)
            # After the forward pass, in which the model may freeze some.
            parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
            gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        return output, dict(zip(parameters, cast("tuple[Tensor | None, ...]", gradients), strict=True))

    @contextmanager
    def unchanged(self, device: torch.device) -> Generator[None]:
        """Set the evaluation mode; restore random state, also that of `device`, and buffers when the context exits."""
        self.model.eval()
        with self._restoring(list(self.model.buffers()), device):
            yield

    @contextmanager
    def _restoring(self, tensors: Sequence[Tensor], device: torch.device) -> Generator[None]:
        """Restore `tensors` and the random streams: a model may draw in evaluation mode, as FractionalMaxPool does."""
        with preserved_streams() if self.has_user_code else nullcontext(), unchanged(tensors, device):
            yield

    def _errors(self, where: str) -> AbstractContextManager[None]:
        return model_errors(where, self.model, self.objective.criterion, self.precision)

    def step_scheduler(self, value: float | None) -> None:
        """Update the learning rate. Only ReduceLROnPlateau uses `value`, the metric of the validation rows."""
        try:
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(math.inf if value is None else value)
            elif self.scheduler is not None:
                self.scheduler.step()
        except Exception as error:
            message = f"scheduler: {type(self.scheduler).__name__} failed: {describe_error(error)}"
            raise ConfigError(message, "another scheduler", key="scheduler") from error

    def check_scheduler(self) -> None:
        """Raise ConfigError if the next update of the learning rate would fail. Changes nothing."""
        if self.scheduler is None:
            return
        state, groups = copy.deepcopy((self.scheduler.state_dict(), _settings(self.optimizer)))
        with warnings.catch_warnings(action="ignore"):  # torch warns that the optimizer has not made a step yet
            self.step_scheduler(None)
        self.scheduler.load_state_dict(state)
        for group, settings in zip(self.optimizer.param_groups, groups, strict=True):
            group.update(settings)

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def get_state(self) -> State:
        """Return live tensors and plain values; the next update changes the tensors."""
        with without_dynamo():
            optimizer = self.optimizer.state_dict()
        state: State = {**self.get_parameters(), "optimizer": optimizer}
        if self.scheduler is not None:
            state["scheduler"] = self.scheduler.state_dict()
        if self.average is not None:
            state["average"] = {"trained": get_parameters(self.model), "updates": self.average.n_averaged}
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        if step := self.step.get_state():
            state["engine"] = step
        return state

    def get_parameters(self) -> State:
        """Return the part of the state that predictions depend on: parameters and buffers, live."""
        return get_parameters(self.network)

    def set_parameters(self, state: State) -> None:
        """Restore what `get_parameters` returned."""
        set_parameters(self.network, state)

    def set_state(self, state: State) -> None:
        """Restore what `get_state` returned."""
        self.set_parameters(state)
        if self.average is not None:
            trained = state["average"]["trained"]  # an older run has only its state dict
            set_parameters(self.model, trained if "buffers" in trained else {"model": trained, "buffers": {}})
            self.average.n_averaged.copy_(state["average"]["updates"])
        with without_dynamo():
            self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.step.set_state(state.get("engine", {}))


def _settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]


def _remember(stacks: Iterable[Stack], taken: list[Stack]) -> Iterator[Stack]:
    """Yield the stacks, and append each of them to `taken`."""
    for stack in stacks:
        taken.append(stack)
        yield stack
