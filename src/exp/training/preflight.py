"""What is wrong with a run before it begins, as far as a few rows can tell: shapes, numbers, the loss, the gradients.

Looks at the first training rows in evaluation mode, so nothing of the run moves: no parameter, no running mean, no
random number. An error means that what follows would mean nothing; a warning, that it may not be what was meant.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from exp.data.splits import Splits
from exp.errors import ConfigError, DataError
from exp.training.learner import Learner
from exp.training.objectives import Multiclass, check_output

_ROWS = 256


_LARGE = 50.0  # root mean square of a feature from which on it drowns the others and saturates the net


_LARGE_TARGET = 1e4  # from which on the first steps of any usual learning rate are far too long


_UNEVEN = 100.0  # between the largest and the smallest spread of a feature


_FAR = 3.0  # times the loss of guessing: a start so bad says that something is unscaled


_TOLD = 5  # names in one sentence


def find_problems(learner: Learner, data: Splits, standardized: bool) -> Iterator[str]:
    """Warnings, each with what to type. ConfigError or DataError for what cannot be trained on at all."""
    for name, split in data.splits.items():
        if not bool(split.x.isfinite().all()):
            bad = _some(_named(data, ~split.x.isfinite().all(0)))
            raise DataError(f"dataset: {name} holds NaN or infinite values in {bad}", "remove or fill them")
    yield from _of_inputs(data, standardized)
    x, y = data.train.x[:_ROWS], data.train.y[:_ROWS]
    loss, made_by, gradients = _forward_and_backward(learner, x, y)
    yield from _of_outputs(learner, made_by)
    size = float(data.train.y.double().square().mean().sqrt()) if data.classes is None else 1.0
    if size > _LARGE_TARGET:
        unit = 10 ** round(math.log10(size))
        yield f"the targets are about {size:.3g}, and a net begins near 0; try: the target's column divided by {unit:,}"
    yield from _of_loss(learner, loss, standardized)
    yield from _of_gradients(gradients)


def _of_inputs(data: Splits, standardized: bool) -> Iterator[str]:
    x = data.train.x.double()
    spread = x.std(0, correction=0)
    constant = _named(data, spread == 0)
    if constant and len(x) > 1:
        verb = "varies" if len(constant) == 1 else "vary"
        yield (
            f"{_some(constant)} never {verb} in the {len(x):,} training rows, and teach{'es' * (len(constant) == 1)} "
            f"nothing; of a table try: 'dataset.drop=[{','.join(constant[:3])}]'"
        )
    varying = spread[spread > 0]
    size = x.square().mean(0).sqrt()
    if standardized or not len(varying):
        return
    if float(size.max()) > _LARGE or float(varying.max() / varying.min()) > _UNEVEN:
        largest, smallest = int(size.argmax()), int(size.argmin())
        yield (
            f"the features are not of one scale: {data.features[largest]} is about {float(size[largest]):.3g}, "
            f"{data.features[smallest]} {float(size[smallest]):.3g}; try: dataset.standardize=true"
        )


def _forward_and_backward(learner: Learner, x: Tensor, y: Tensor) -> tuple[float, str, dict[str, Tensor | None]]:
    """The loss, the name of the operation that made the outputs, and the gradient of each parameter by its name."""
    parameters = {name: p for name, p in learner.model.named_parameters() if p.requires_grad}
    output = learner.predict(x)
    check_output(learner.objective, output, len(x))
    _check_target(learner, output, y)
    mass = float(output.logsumexp(1).max().exp()) if isinstance(learner.objective.criterion, nn.NLLLoss) else 1.0
    if abs(mass - 1.0) > 1e-3:
        raise ConfigError(
            f"loss: NLLLoss takes log-probabilities, and what the model gives would add up to {mass:.3g}",
            "loss=cross_entropy, or a model that ends with LogSoftmax",
        )
    with torch.enable_grad():
        output = learner.model(x)
        loss: Tensor = learner.objective.criterion(output, y)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    made_by = type(output.grad_fn).__name__
    return float(loss.detach()), made_by, dict(zip(parameters, found, strict=True))


def _check_target(learner: Learner, output: Tensor, y: Tensor) -> None:
    if isinstance(learner.objective, Multiclass):
        if int(y.max()) >= output.shape[1] or int(y.min()) < 0:
            raise ConfigError(
                f"loss: class {int(y.max())} has no output: the model gives {output.shape[1]}, for classes 0 to "
                f"{output.shape[1] - 1}",
                "a model that returns out_features numbers a row",
            )
    elif output.shape != y.shape:
        raise ConfigError(
            f"loss: outputs {list(output.shape)} against targets {list(y.shape)}: torch would stretch one over the "
            "other",
            "outputs and targets of the same shape",
        )
    if not output.is_floating_point() or (y.is_floating_point() and y.dtype != output.dtype):
        raise ConfigError(f"model: it returns {output.dtype}, and the targets are {y.dtype}", "a model of float32")


def _of_outputs(learner: Learner, made_by: str) -> Iterator[str]:
    """Probabilities where the loss takes logits: it would squash them a second time."""
    criterion = learner.objective.criterion
    if isinstance(criterion, nn.BCEWithLogitsLoss) and made_by.startswith("Sigmoid"):
        yield "the model ends with a sigmoid, and BCEWithLogitsLoss takes logits; try: loss=bce, or a model without it"
    if isinstance(criterion, nn.CrossEntropyLoss) and made_by.startswith(("Softmax", "Sigmoid")):
        yield (
            f"the model ends with a {'softmax' if made_by.startswith('Softmax') else 'sigmoid'}, and CrossEntropyLoss "
            "takes logits; try: a model without it"
        )


def _of_loss(learner: Learner, loss: float, standardized: bool) -> Iterator[str]:
    """A loss far above that of guessing, where the loss has one."""
    classes = learner.objective.outputs if isinstance(learner.objective, Multiclass) else 2
    guessing = math.log(max(2, classes))
    if not math.isfinite(loss):
        raise ConfigError(f"the loss is {loss} before the first step", "dataset.standardize=true, or another loss")
    if learner.objective.metrics[0] == "accuracy" and loss > _FAR * guessing and _is_of_likelihood(learner):
        cure = "a model that begins with smaller outputs" if standardized else "dataset.standardize=true"
        yield f"the loss begins at {loss:.4g}, where guessing gives ln {max(2, classes)} = {guessing:.3g}; try: {cure}"


def _is_of_likelihood(learner: Learner) -> bool:
    return isinstance(learner.objective.criterion, nn.CrossEntropyLoss | nn.BCEWithLogitsLoss | nn.BCELoss)


def _of_gradients(gradients: dict[str, Tensor | None]) -> Iterator[str]:
    unused = [name for name, gradient in gradients.items() if gradient is None]
    if unused:
        yield f"{_some(unused)} takes no part in the loss, and will not be trained; try: a model without it"
    dead: list[str] = []
    for name, gradient in gradients.items():
        if gradient is not None and gradient.dim() > 0:
            units = (gradient.flatten(1) if gradient.dim() > 1 else gradient.unsqueeze(1)).abs().sum(1)
            still = int((units == 0).sum())
            if gradient.dim() > 1 and 2 * still >= len(units):
                dead.append(f"{name} ({still} of {len(units)} units)")
    if dead:
        yield (
            f"no gradient reaches {_some(dead)}: activations that are flat for every row, as dead ReLUs are; try: "
            "dataset.standardize=true, or model.activation=tanh"
        )


def _named(data: Splits, which: Tensor) -> list[str]:
    """The features for which it is true [F]."""
    return [name for name, true in zip(data.features, which, strict=True) if bool(true)]


def _some(names: list[str]) -> str:
    more = len(names) - _TOLD
    return ", ".join(names[:_TOLD]) + (f" and {more} more" if more > 0 else "")
