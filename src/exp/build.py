"""From choices to objects: the only place where a name in a config becomes code, if it is on the list below."""

import importlib
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from exp.cadence import about, period
from exp.config import Config, shown
from exp.data.batches import Batches
from exp.data.preparing import prepare
from exp.data.split import Data
from exp.data.table import Table, table_of
from exp.devices import device_of, use_threads
from exp.errors import ConfigError, DataError, ExpError
from exp.learner import Eager, Learner
from exp.loop import Plan
from exp.nearest import nearest
from exp.objectives import Objective, objective_of
from exp.seeding import seed_everything

# What a config may name. A config is data, and a stranger's: everything else is refused before it is imported.
ALLOWED = ("exp.models", "exp.data", "torch.nn", "torch.optim", "sklearn.datasets")
# The user's own packages, comma-separated; only the environment can name them, never a YAML.
ALLOW_VARIABLE = "EXP_ALLOW"


@dataclass(frozen=True)
class Experiment:
    """One run's objects, ready to train. `data` holds targets as the loss wants them, on the device."""

    table: Table
    data: Data
    model: nn.Module
    objective: Objective
    learner: Learner
    batches: Batches
    plan: Plan
    device: torch.device


def build(config: Config) -> Experiment:
    """The experiment that `config` describes; torch's random stream then stands where a plain script's does."""
    device = device_of(config.device.name)
    table = table_of(make("dataset", config.dataset, without=("split", "standardize")))
    data = prepare(table, config.dataset.get("split"), config.dataset.get("standardize", False), config.seed)
    objective = objective_of(make("loss", config.loss, without=("output",)), config.loss.get("output", "value"), data)
    data = data.prepared(objective.target, device)

    seed_everything(config.seed)
    model: nn.Module = make("model", config.model, in_features=len(data.features), out_features=objective.outputs).to(
        device
    )
    _refuse_wrong_end(model, config.loss.get("output", "value"), objective.criterion)
    optimizer = make("optimizer", config.optimizer, params=list(model.parameters()))
    scheduler = make("scheduler", config.scheduler, without=("every",), optimizer=optimizer)

    batches = Batches(data.train, **vars(config.batching))
    use_threads(config.threads, batches.size * sum(parameter.numel() for parameter in model.parameters()))
    learner = Eager(model, objective, optimizer, scheduler, config.clip_grad_norm)
    return Experiment(table, data, model, objective, learner, batches, plan_of(config, batches), device)


def plan_of(config: Config, batches: Batches) -> Plan:
    """The cadences in steps. By default about 1,000 logged points a run, at most one evaluation an epoch, ten saves."""
    per_epoch = batches.steps_per_epoch
    steps = config.epochs * per_epoch
    evaluate = period(config.eval_every, per_epoch, per_epoch * about(config.epochs))
    every = config.scheduler.get("every", "epoch") if config.scheduler.get("_target_") else None
    return Plan(
        steps=steps,
        log=period(config.log_every, per_epoch, about(steps)),
        evaluate=evaluate,
        save=period(config.save_every, per_epoch, about(steps, 10)),
        schedule={None: None, "step": 1, "epoch": per_epoch, "evaluation": evaluate}[every],
        patience=config.early_stopping.patience,
        min_delta=config.early_stopping.min_delta,
        longest=max(1, min(1024, 2**20 // batches.size)),
    )


def make(group: str, node: dict[str, Any], without: tuple[str, ...] = (), **given: Any) -> Any:
    """What `node`'s `_target_` returns for the node's other keys, but those in `without`, and what is `given`.

    None if the target is null. ConfigError, naming the key, if the target is not allowed, not there, or refuses.
    """
    target = node.get("_target_")
    if target is None:
        return None
    function = resolve(f"{group}._target_", target)
    arguments = {
        key: _made(f"{group}.{key}", value) for key, value in node.items() if key not in ("_target_", *without)
    }
    _refuse_unknown(group, target, function, arguments, given)
    try:
        return function(**arguments, **given)
    except ExpError:
        raise
    except Exception as error:
        typed = ", ".join(f"{key}={shown(value)}" for key, value in arguments.items())
        blamed = [key for key in arguments if re.search(rf"\b{key}\b", str(error), re.IGNORECASE)] or list(arguments)
        kind = DataError if group == "dataset" else ConfigError
        raise kind(
            f"{group}: {target}({typed}) refused: {error}",
            f"another value of {' or '.join(f'{group}.{key}' for key in blamed)}",
        ) from error


def resolve(key: str, target: object) -> Callable[..., Any]:
    """The function or class of that dotted name. ConfigError if it, as found, does not come from an allowed package."""
    own = tuple(name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(",") if name.strip())
    refusal = ConfigError(
        f"{key}={target} is not allowed: a config may name {', '.join(f'{name}.*' for name in (*ALLOWED, *own))}",
        f"{ALLOW_VARIABLE}={str(target).partition('.')[0]} python -m exp ..., if you trust that package",
    )
    if not isinstance(target, str) or not _inside(target, (*ALLOWED, *own)):
        raise refusal
    module, _, name = target.rpartition(".")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        names = dir(importlib.import_module(module)) if isinstance(error, AttributeError) else []
        near = nearest(name, names)
        cure = f"{key}={module}.{near}" if near else f"{key} with a name that `python -c 'import {module}'` finds"
        raise ConfigError(f"{key}={target} does not exist", cure) from error
    # As found, not as spelt: an allowed module may have imported anything.
    if not callable(found) or not _inside(f"{getattr(found, '__module__', '')}.", (*ALLOWED, *own)):
        raise refusal
    return found


def _made(key: str, value: Any) -> Any:
    if isinstance(value, dict) and "_target_" in value:
        return make(key, cast("dict[str, Any]", value))
    return cast(object, value)


def _inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)


def _refuse_unknown(
    group: str, target: str, function: Callable[..., Any], arguments: dict[str, Any], given: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    free = [name for name in parameters if name not in given]
    for key in arguments:
        if key not in free:
            near = nearest(key, free)
            cure = f"{group}.{near}={shown(arguments[key])}" if near else f"one of {', '.join(free)}"
            raise ConfigError(f"{group}.{key} is no argument of {target}", cure)
    for name in given:
        if name not in parameters:
            raise ConfigError(
                f"{group}: {target} does not take {name}, which exp gives it",
                f"a {group} that takes {', '.join(given)}",
            )


def _refuse_wrong_end(model: nn.Module, output: str, criterion: nn.Module) -> None:
    """A loss of probabilities needs a sigmoid at the model's end; one of logits has its own."""
    *_, last = model.modules()
    name = type(criterion).__name__
    if output == "probability" and not isinstance(last, nn.Sigmoid):
        raise ConfigError(
            f"loss: {name} takes probabilities, and the model ends with {type(last).__name__}",
            "model.output_activation=sigmoid, or loss=bce_with_logits",
        )
    if output == "logit" and isinstance(last, nn.Sigmoid):
        raise ConfigError(
            f"loss: {name} applies a sigmoid itself, and the model already ends with one",
            "model.output_activation=null, or loss=bce",
        )
