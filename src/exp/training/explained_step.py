"""All that one update of a run computes: batch, outputs of each layer, loss, gradients, parameters before and after."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from exp.data.mapped.maps import is_mapped
from exp.data.splits import Split
from exp.data.stack import Stack
from exp.engine.step import StepAround, StepOutputs
from exp.errors import Diverged
from exp.training.build import Experiment
from exp.training.events import Trained
from exp.training.loop import Training


@dataclass(frozen=True)
class LayerOutput:
    """What a layer returned for the batch, [B, ...]; of a batch in pieces, for the first one."""

    name: str
    kind: str
    output: Tensor


@dataclass(frozen=True)
class ParameterUpdate:
    """A parameter before and after the update, and the gradient that was used, which is the clipped one.

    `gradient`: None if the parameter is frozen, or the loss does not depend on it.
    `settings`: Those of its parameter group in this update; empty if the optimizer does not have it.
    `state_before`, `state_after`: What the optimizer keeps for it, by torch's names: tensors of its shape, and counts.
    """

    name: str
    before: Tensor
    gradient: Tensor | None
    after: Tensor
    settings: Mapping[str, Any]
    state_before: Mapping[str, Tensor]
    state_after: Mapping[str, Tensor]

    @property
    def lr(self) -> float | None:
        """The learning rate in this update; None if the optimizer does not have the parameter."""
        return float(self.settings["lr"]) if "lr" in self.settings else None


@dataclass(frozen=True)
class ExplainedStep:
    """One update. Tensors are copies on the CPU.

    x [B, ...] and y [B, ...] are the batch as the model and the loss get it, `output` [B, ...] that of the model.
    `settings`: Those of the first parameter group of the optimizer, in this update.
    `row_numbers`: Positions of the rows in the dataset, from 1; empty if equal rows hide them.
    `features`: Names of the columns of x; empty if its rows have more than one dimension.
    """

    x: Tensor
    y: Tensor
    layers: Sequence[LayerOutput]
    output: Tensor
    loss: float
    parameters: Sequence[ParameterUpdate]
    optimizer: type[Optimizer]
    settings: Mapping[str, Any]
    row_numbers: Sequence[int]
    features: Sequence[str] = ()


def explain_step(experiment: Experiment, step: int) -> ExplainedStep | None:
    """Train `experiment`, which was just built, up to the update number `step`, from 1, and return that one.

    None if training ends before it. It draws from the global random streams, which are as building left them.

    Raises:
        Diverged: The loss became NaN or infinite before it.
    """
    learner, data = experiment.learner, experiment.data
    recorder = _Recorder(learner.step, learner.model, learner.optimizer, step)
    # It ends with the step, where a longer call would make the steps behind it too.
    plan = replace(experiment.plan, steps=step, watch=False)
    training = Training(replace(learner, step=recorder), experiment.batches, data, plan)
    try:
        for event in training:  # a call that makes the step has losses of earlier ones, which are checked before this
            if isinstance(event, Trained) and event.at.step[-1] == step:
                break
    except Diverged as error:
        if error.step < step:
            raise
    if not recorder.found:
        return None
    (found,) = recorder.found
    features = data.features if found.x.ndim == 2 and found.x.shape[1] == len(data.features) else ()
    return replace(found, row_numbers=_find_rows(data.train, found.x, found.y), features=features)


@dataclass(frozen=True)
class _Recorder(StepAround):
    """A step that records the update number `wanted`, and passes all batches to `inner`."""

    model: nn.Module
    optimizer: Optimizer
    wanted: int
    found: list[ExplainedStep] = field(default_factory=list[ExplainedStep])
    _done: list[int] = field(default_factory=lambda: [0])

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        outputs = StepOutputs()
        for stack in stacks:
            before = self.wanted - 1 - self._done[0]
            self._done[0] += len(stack)
            if not 0 <= before < len(stack):
                outputs.extend(self.inner([stack]))
                continue
            first, rest = stack.split(before)
            one, last = rest.split(1)
            if len(first):
                outputs.extend(self.inner([first]))
            outputs.extend(self._record(one))
            if len(last):
                outputs.extend(self.inner([last]))
        return outputs

    def _record(self, one: Stack) -> StepOutputs:
        x, y = _copy(one.x[0]), _copy(one.y[0])
        groups = [
            (group["params"], {key: value for key, value in group.items() if key != "params"})
            for group in self.optimizer.param_groups
        ]
        settings = {id(parameter): own for parameters, own in groups for parameter in parameters}
        before = {
            name: (_copy(parameter), self._state_of(parameter)) for name, parameter in self.model.named_parameters()
        }
        with _recorded_layers(self.model) as layers:
            outputs = self.inner([one])
        parameters = [
            ParameterUpdate(
                name,
                before[name][0],
                None if parameter.grad is None else _copy(parameter.grad),
                _copy(parameter),
                settings.get(id(parameter), {}),
                before[name][1],
                self._state_of(parameter),
            )
            for name, parameter in self.model.named_parameters()
        ]
        output, loss = _copy(outputs.outputs[0]), float(outputs.losses[0])
        self.found.append(
            ExplainedStep(x, y, layers, output, loss, parameters, type(self.optimizer), groups[0][1], row_numbers=())
        )
        return outputs

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Any] = self.optimizer.state.get(parameter, {})
        return {
            name: _copy(value)
            for name, value in state.items()
            if isinstance(value, Tensor) and value.shape in ((), parameter.shape)
        }


@contextmanager
def _recorded_layers(model: nn.Module) -> Generator[list[LayerOutput]]:
    """Yield a list to which the first forward pass of the model adds the output of each module without modules."""
    layers: list[LayerOutput] = []
    is_over: list[bool] = []

    def add(name: str, module: nn.Module, output: Any) -> None:
        first = cast("Any", output)[0] if isinstance(output, tuple) else output
        if not is_over and isinstance(first, Tensor):
            layers.append(LayerOutput(name, type(module).__name__, _copy(first)))

    def add_as(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, _, output: add(name, module, output)

    def end(*_: Any) -> None:
        # L-BFGS computes the gradients several times, and batching.accumulate a piece of the batch at a time.
        is_over.append(True)

    modules = cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
    leaves = [(name, module) for name, module in modules if not list(module.children())]
    handles = [
        *(module.register_forward_hook(add_as(name)) for name, module in leaves),
        model.register_forward_hook(end),
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def _find_rows(train: Split, x: Tensor, y: Tensor) -> list[int]:
    """Return the positions of the rows of a batch in the dataset; empty if one of them is there several times."""
    if is_mapped(train.x) or not len(train.row_numbers):
        return []
    numbers: list[int] = []
    for row, target in zip(x.to(train.x.device), y.to(train.target.device), strict=True):
        same = (train.x == row).flatten(1).all(1) & (train.target == target).reshape(len(train), -1).all(1)
        places = cast("list[int]", same.nonzero().flatten().tolist())
        if len(places) != 1:
            return []
        numbers.append(int(train.row_numbers[places[0]]))
    return numbers


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
