"""Build the objects of a run from its config."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from exp.config.instantiate import instantiate
from exp.config.metric_names import chosen_metrics
from exp.config.schema import Config
from exp.config.user_code import has_user_code
from exp.data.batches import Batches
from exp.data.preprocessing import Preprocessing
from exp.data.seeding import seed_everything
from exp.data.splits import Splits
from exp.engine.optimizers import without_dynamo
from exp.engine.replayed_evaluation import ReplayedEvaluations
from exp.engine.step import EagerStep
from exp.errors import ConfigError
from exp.training.build_model import (
    build_model,
    check_output_activation,
    fit_initial,
    model_arguments,
)
from exp.training.choices import decide
from exp.training.devices import select_device, use_threads
from exp.training.events import State
from exp.training.initial import load_initial
from exp.training.learner import Learner
from exp.training.make_objective import make_objective
from exp.training.make_pieces import make_pieces, passes_per_epoch
from exp.training.make_scheduler import check_schedule_length, make_scheduler
from exp.training.make_step import make_step
from exp.training.member_models import count_members, training_loss
from exp.training.metric_choice import check_metrics
from exp.training.moving_average import AveragedStep, make_average
from exp.training.objectives import Objective
from exp.training.parameter_groups import make_optimizer
from exp.training.plan import Plan, make_plan
from exp.training.precision import check_loss, make_scaler, select_precision
from exp.training.reuse import JobCache
from exp.training.rows import load_splits
from exp.training.weights import loss_weights, resolve_class_weights, weigh


@dataclass(frozen=True)
class Experiment:
    """The objects of one run, ready to train. `data` is on the device, with targets as the loss takes them.

    `config` is the run's without `auto`, where the data decide.
    """

    config: Config
    data: Splits
    model: nn.Module
    objective: Objective
    learner: Learner
    batches: Batches
    plan: Plan
    device: torch.device


def build(
    config: Config,
    cache: JobCache | None = None,
    initial: State | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Experiment:
    """Build the experiment that `config` describes.

    Afterwards torch's random number generator has the state that it has in the plain script at this point.

    Args:
        cache: Datasets and models of earlier jobs to reuse. The experiments of these jobs must not be used any more.
        initial: The state of another run that has the initial parameters, for init=.
        on_progress: Called with the percentage that is done while rows are prepared in mapped files.

    Raises:
        ConfigError, DataError: An object cannot be built, or the choices do not fit together.
    """
    cache = cache or JobCache()
    device = select_device(config.device.name)
    precision = select_precision(config.precision, device)
    seed_everything(config.seed)  # a dataset function may draw
    data = load_splits(config, cache, on_progress)
    config, target = decide(config, data), data.preprocessing.target_kind
    check_metrics(config.metrics, config.metric, target, config.loss.get("output") != "value")
    class_weights = resolve_class_weights(config.loss.get("class_weights"), target, data.class_totals)
    data = replace(data, preprocessing=replace(data.preprocessing, class_weights=class_weights))
    has_weights = data.train.weights is not None
    objective = build_objective(config.loss, data.preprocessing, has_weights, device, metric_names_of(config))
    data = data.with_targets(objective.target, device)

    seed_everything(config.seed)
    batching = config.batching
    batches = Batches(data.train, batching.batch_size, batching.shuffle, batching.drop_last)
    _check_weighted_batches(objective, batches)
    passes = config.epochs * passes_per_epoch(config, batches)
    passed = model_arguments(config, data.preprocessing, objective.outputs, passes)
    built = build_model(config, passed).to(device)
    fit_initial(built, data.train)
    if initial is not None:
        load_initial(built, initial["model"], str(config.init))
    pieces = make_pieces(config, batches, built, objective.criterion)
    to_train = cache.reuse_model(config, passed, built, objective.criterion, pieces)
    model = to_train.model.train()  # a module from Python may have parts in evaluation mode
    check_output_activation(config, objective.criterion)
    check_loss(config.precision, objective.criterion)
    with without_dynamo():
        optimizer = make_optimizer(model, config.optimizer)
    scheduler = make_scheduler(config, optimizer, batches, bool(len(data.val)))
    members, parameters = count_members(model), sum(parameter.numel() for parameter in model.parameters())
    work = batches.size * members * parameters
    use_threads(config.threads, work)
    outputs = members * objective.outputs
    plan = make_plan(config, batches, outputs, kept=parameters + len(data.val) * outputs)
    check_schedule_length(config, scheduler, plan)
    scaler = make_scaler(precision, optimizer)
    criterion = training_loss(model, objective.criterion)
    eager = EagerStep(model, criterion, optimizer, config.clip_grad_norm, precision, pieces)
    step = make_step(config, eager, scaler, to_train.recorded, plan.steps, work)
    average = None if config.ema is None else make_average(model, config.ema)
    if average is not None:
        step = AveragedStep(step, model, average)
    learner = Learner(model, objective, optimizer, step, scheduler, average, has_user_code(config), precision, scaler)
    if step.engine != "eager":
        captured = to_train.recorded.evaluations if average is None else {}  # an average is new in each job
        replayed = ReplayedEvaluations(learner.network, objective.criterion, precision, captured)
        learner = replace(learner, replayed=replayed)
    return Experiment(config, data, model, objective, learner, batches, plan, device)


def metric_names_of(config: Config) -> list[str]:
    """Return the metrics that a run computes by name: metrics= and metric=."""
    return chosen_metrics(config.metrics, config.metric)


def build_objective(
    node: dict[str, Any],
    preprocessing: Preprocessing,
    has_row_weights: bool = False,
    device: torch.device | None = None,
    metrics: Sequence[str] = (),
) -> Objective:
    """Return the objective of the loss that `node` describes, for targets as `preprocessing` encodes them.

    Args:
        has_row_weights: Whether the rows have weights of their own.
        device: Where the loss keeps its tensors; None: on the CPU.
        metrics: The names of more metrics.
    """
    target, output = preprocessing.target_kind, node.get("output")
    criterion = weigh(instantiate("loss", node), output, target, preprocessing.class_weights, has_row_weights)
    return make_objective(criterion.to(device), output, target, preprocessing.target_scale, metrics)


def _check_weighted_batches(objective: Objective, batches: Batches) -> None:
    """Raise ConfigError if weights would have no effect, because each batch has one row."""
    if batches.size == 1 and loss_weights(objective.criterion, batches.rows.target[:1]) is not None:
        raise ConfigError(
            "batching.batch_size=1: weights have no effect, because the loss of a batch is divided by the weights of "
            "its rows",
            "batching=minibatch, or no weights",
        )
