"""Preflight: check data, model and loss on the first rows, before the first step.

The model is evaluated without changing the run: no parameter, no buffer, no random number. An error means that training
would be meaningless, a warning that the run may not be what was meant.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from exp.config.user_code import place_of_class
from exp.data.splits import Splits
from exp.errors import ConfigError, shorten
from exp.training.check_features import check_features, check_finite
from exp.training.check_outputs import check_finite_outputs, check_log_probabilities, check_output, check_target
from exp.training.compute_loss import compute_loss
from exp.training.input_width import check_input_width
from exp.training.learner import Learner
from exp.training.objectives import Multiclass, Objective, Regression
from exp.training.weights import unpack_target, without_weights

# Training rows that the model is checked on.
_ROWS = 256


# Root mean square of the targets above which the first steps of any usual learning rate are far too long.
_LARGE_TARGET = 1e4


# Ratio of the initial loss to the loss of guessing above which something is probably not scaled.
_FAR_FROM_GUESSING = 3.0


@dataclass(frozen=True)
class _Trial:
    """The result of one forward and backward pass over the first rows."""

    loss: float
    last_operation: str = ""  # the name of the autograd node of the outputs
    gradients: dict[str, Tensor | None] = field(default_factory=dict[str, "Tensor | None"])
    failure: str | None = None  # why there are no gradients


def find_problems(learner: Learner, data: Splits, is_scaled: bool) -> Iterator[str]:
    """Yield warnings, each with what to type.

    Raises:
        ConfigError, DataError: Training would be meaningless.
    """
    check_finite(data)
    yield from check_features(data, is_scaled)
    first = data.train.x[:_ROWS].to(data.train.device)
    trial = _try_first_rows(learner, first, data.train.target[:_ROWS], data.features, is_scaled)
    if trial.failure is not None:
        yield f"the gradients were not checked: {trial.failure}"
    yield from _check_logits(without_weights(learner.objective.criterion), trial.last_operation)
    if data.preprocessing.target_kind.kind == "numbers":
        yield from _check_target_scale(data.train.y)
    yield from _check_initial_loss(learner.objective, trial.loss, is_scaled)
    yield from _check_gradients(learner.model, trial.gradients, is_scaled, varies=bool((first != first[:1]).any()))


def _check_target_scale(y: Tensor) -> Iterator[str]:
    size = float(y.double().square().mean().sqrt())
    if size > _LARGE_TARGET:
        yield f"the targets are about {size:.3g}, but initial outputs are about 0; try: dataset.scale_target=true"


def _try_first_rows(learner: Learner, x: Tensor, target: Tensor, features: Sequence[str], is_scaled: bool) -> _Trial:
    """Run the model in evaluation mode on x [N, F] and their targets, forward and backward, without changing anything.

    Raises:
        ConfigError: The loss cannot be computed on what the model returns, or would mean nothing.
    """
    criterion = learner.objective.criterion
    with learner.unchanged(x.device):
        try:
            output = learner.predict(x)
        except ConfigError:
            check_input_width(learner.network, x, features)
            raise
        check_finite_outputs(learner.network, output, is_scaled)
        check_output(learner.objective, output, len(x))
        y, _ = unpack_target(criterion, target)
        check_target(learner.objective, output, y)
        check_log_probabilities(without_weights(criterion), output)
        loss = float(compute_loss(criterion, output, target).detach())
        try:
            output, gradients = learner.differentiate(x, target)
        except ConfigError as error:
            if error.key == "loss":
                raise
            return _Trial(loss, failure=error.problem)
    return _Trial(loss, _last_operation(output), gradients)


def _last_operation(output: Tensor) -> str:
    """Return the name of the autograd node of the model's outputs, before their conversion to float32."""
    node = output.grad_fn
    if node is not None and type(node).__name__.startswith("ToCopy"):
        node = node.next_functions[0][0]
    return type(node).__name__


def _check_logits(criterion: nn.Module, last_operation: str) -> Iterator[str]:
    """Warn of probabilities where the loss takes logits: it would apply a sigmoid or softmax a second time."""
    if isinstance(criterion, nn.BCEWithLogitsLoss):
        wrong, fix = ("Sigmoid",), "loss=bce, or a model without it"
    elif isinstance(criterion, nn.CrossEntropyLoss):
        wrong, fix = ("Softmax", "Sigmoid"), "a model without it"
    else:
        return
    for activation in wrong:
        if last_operation.startswith(activation):
            name = type(criterion).__name__
            yield f"the model ends with a {activation.lower()}, but {name} needs logits; try: {fix}"


def _check_initial_loss(objective: Objective, loss: float, is_scaled: bool) -> Iterator[str]:
    """Warn of a loss far above that of guessing, for the losses that are negative log-likelihoods of classes."""
    if not math.isfinite(loss):
        is_unscaled = isinstance(objective, Regression) and objective.scale is None
        kind = type(without_weights(objective.criterion))
        scales = "" if is_scaled else "dataset.scaler=standard, or "
        raise ConfigError(
            f"loss: {kind.__name__} is {loss} before the first step, of finite outputs{place_of_class(kind)}",
            f"{scales}{'dataset.scale_target=true, or ' if is_unscaled else ''}another loss",
        )
    likelihoods = nn.CrossEntropyLoss | nn.BCEWithLogitsLoss | nn.BCELoss
    criterion = without_weights(objective.criterion)
    if isinstance(objective, Regression) or not isinstance(criterion, likelihoods):
        return
    if getattr(criterion, "pos_weight", None) is not None:  # guessing gives another loss then
        return
    classes = max(2, objective.outputs) if isinstance(objective, Multiclass) else 2
    guessing = math.log(classes)
    if loss > _FAR_FROM_GUESSING * guessing:
        fix = "a model with smaller initial outputs" if is_scaled else "dataset.scaler=standard"
        yield f"the initial loss is {loss:.4g}, but guessing gives ln {classes} = {guessing:.3g}; try: {fix}"


def _check_gradients(
    model: nn.Module, gradients: dict[str, Tensor | None], is_scaled: bool, varies: bool
) -> Iterator[str]:
    """Warn of parameters that the loss does not depend on, and of layers of which half the units have no gradient.

    Args:
        varies: Whether the rows differ; constant features are 0 if they are standardised, and give no gradient.
    """
    unused = [name for name, gradient in gradients.items() if gradient is None]
    if unused:
        yield f"the loss does not depend on {shorten(unused)}, so it is not trained; try: a model without it"
    dead: list[str] = []
    # A row of an embedding table has a gradient only if its category is in the rows that were tried.
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)}
    in_tables = {name for name, parameter in model.named_parameters() if id(parameter) in tables}
    for name, gradient in gradients.items():
        if gradient is not None and gradient.dim() > 1 and name not in in_tables:
            units = gradient.flatten(1).abs().sum(1)
            without = int((units == 0).sum())
            if 2 * without >= len(units):
                dead.append(f"{name} ({without} of {len(units)} units)")
    starts_at_zero = any(p.dim() > 1 and not bool(p.any()) for p in model.parameters())  # a last layer of zeros
    if dead and varies and not starts_at_zero:
        cause = " (dead ReLUs)" if any(isinstance(module, nn.ReLU) for module in model.modules()) else ""
        yield (
            f"no gradient reaches {shorten(dead)}: activations are saturated for every row{cause}; try: "
            f"{'' if is_scaled else 'dataset.scaler=standard, or '}another activation, such as model.activation=tanh"
        )
