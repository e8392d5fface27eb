"""From choices to objects."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from exp.config.instantiate import make
from exp.config.schema import Config
from exp.data.batches import Batches
from exp.data.dataset import table_of
from exp.data.prepare import prepare
from exp.data.seeding import seed_everything
from exp.data.splits import Data
from exp.engine.replay import RecordedStep
from exp.engine.step import EagerStep, Step
from exp.errors import ConfigError, shown
from exp.training.devices import device_of, use_threads
from exp.training.learner import Learner
from exp.training.objectives import Objective, objective_of
from exp.training.plan import AT_ONCE, Plan, plan_of
from exp.training.reuse import Shelf

# Steps from which on recording saves more than it costs, some 10 milliseconds for each size of batch.
_WORTH_RECORDING = 200


# Rows times parameters of a step, from which on the arithmetic takes so long that nothing else is worth saving.
_NOT_WORTH_RECORDING = 2**30


@dataclass(frozen=True)
class Experiment:
    """One run's objects, ready to train. `data` holds targets as the loss wants them, on the device."""

    data: Data
    model: nn.Module
    objective: Objective
    learner: Learner
    batches: Batches
    plan: Plan
    device: torch.device


def build(config: Config, shelf: Shelf | None = None) -> Experiment:
    """The experiment that `config` describes; torch's random stream then stands where a plain script's does.

    With a `shelf` it may take the table and the model of an earlier experiment, which then is over.
    """
    shelf = shelf or Shelf()
    device = device_of(config.device.name)
    table = shelf.table(config.dataset)
    if table is None:
        table = table_of(make("dataset", config.dataset))
        shelf.put_table(config.dataset, table)
    data = prepare(
        table,
        config.dataset.get("split"),
        bool(config.dataset.get("standardize")),
        config.seed,
        bool(config.dataset.get("stratify")),
    )
    objective = objective_of(
        make("loss", config.loss), config.loss.get("output"), data.classes, data.preprocessing.values
    )
    data = data.prepared(objective.target, device)

    seed_everything(config.seed)
    widths: dict[str, Any] = {"in_features": len(data.features), "out_features": objective.outputs}
    model: nn.Module = make("model", config.model, **widths).to(device)
    model, recordings = shelf.model(config, model, objective.criterion)
    _refuse_wrong_end(config, objective.criterion)
    optimizer = make("optimizer", config.optimizer, params=list(model.parameters()))
    batches = Batches(data.train, **vars(config.batching))
    scheduler = scheduler_of(config, optimizer, batches)
    work = batches.size * sum(parameter.numel() for parameter in model.parameters())
    use_threads(config.threads, work)
    plan = plan_of(config, batches, longest=max(1, min(256, 2**16 // batches.size, AT_ONCE // max(1, work))))
    step: Step = EagerStep(model, objective.criterion, optimizer, config.clip_grad_norm)
    pays = plan.steps >= _WORTH_RECORDING and work < _NOT_WORTH_RECORDING
    if config.engine == "recorded" or (config.engine == "auto" and pays):
        step = RecordedStep(step, recordings)
    learner = Learner(model, objective, optimizer, step, scheduler)
    return Experiment(data, model, objective, learner, batches, plan, device)


def scheduler_of(config: Config, optimizer: Optimizer, batches: Batches) -> LRScheduler | None:
    """The schedule of the learning rate; a T_max that is null spans the whole run, in the schedule's own unit."""
    node = config.scheduler
    if node.get("_target_") is None:
        return None
    every = node.get("every", "epoch")
    if "T_max" in node and node["T_max"] is None:
        node = {**node, "T_max": config.epochs * (batches.steps_per_epoch if every == "step" else 1)}
    scheduler: LRScheduler = make("scheduler", node, optimizer=optimizer)
    if isinstance(scheduler, ReduceLROnPlateau) and every != "evaluation":
        raise ConfigError(
            f"scheduler.every={every}: a plateau is one of validation losses, so it steps with them",
            "scheduler.every=evaluation",
        )
    return scheduler


def _refuse_wrong_end(config: Config, criterion: nn.Module) -> None:
    """A loss of probabilities needs a sigmoid at the model's end, one of logits has its own.

    Of a model that does not say how it ends, `check_output` judges the outputs.
    """
    if "output_activation" not in config.model:
        return
    end, output, name = config.model["output_activation"], config.loss.get("output"), type(criterion).__name__
    if output == "probability" and end != "sigmoid":
        raise ConfigError(
            f"loss: {name} takes probabilities, and the model ends with output_activation={shown(end)}",
            "model.output_activation=sigmoid, or loss=bce_with_logits",
        )
    if output in ("logit", "classes") and end is not None:
        raise ConfigError(
            f"loss: {name} takes logits, and the model ends with output_activation={end}",
            f"model.output_activation=null{', or loss=bce' if output == 'logit' and end == 'sigmoid' else ''}",
        )
