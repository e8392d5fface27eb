"""From choices to objects: the only place where a name in a config becomes code, if it is on the list below."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

import exp.config
from exp.cadence import about, period
from exp.config import Config, shown
from exp.data.batches import Batches
from exp.data.preparing import prepare
from exp.data.split import Data
from exp.data.table import Table, table_of
from exp.devices import device_of, use_threads
from exp.errors import ConfigError, DataError, ExpError
from exp.learner import Learner
from exp.loop import Plan
from exp.nearest import nearest
from exp.objectives import Objective, objective_of
from exp.recorded import RecordedStep
from exp.seeding import seed_everything
from exp.step import EagerStep, Step

# What a config may name: a config is data, and a stranger's. Everything else is refused before it is imported.
_ALLOWED = {
    "dataset": ("exp.data.makers", "sklearn.datasets"),
    "model": ("exp.models", "torch.nn"),
    "loss": ("torch.nn",),
    "optimizer": ("torch.optim",),
    "scheduler": ("torch.optim.lr_scheduler",),
}
# And what it must be when found. A dataset is a function; of scikit-learn's, one that computes or that came with it:
# others read files, remove folders, or load pickles.
_KINDS: dict[str, type] = {"model": nn.Module, "loss": nn.Module, "optimizer": Optimizer, "scheduler": LRScheduler}
_SCIKIT_LEARN = re.compile(r"make_\w+|load_(breast_cancer|diabetes|digits|iris|linnerud|wine)")
# Steps from which on recording saves more than it costs, some 10 milliseconds for each size of batch.
_WORTH_RECORDING = 200


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
    objective = objective_of(make("loss", config.loss, without=("output",)), config.loss.get("output"), data)
    data = data.prepared(objective.target, device)

    seed_everything(config.seed)
    widths: dict[str, Any] = {"in_features": len(data.features), "out_features": objective.outputs}
    model: nn.Module = make("model", config.model, **widths).to(device)
    _refuse_wrong_end(config, objective.criterion)
    optimizer = make("optimizer", config.optimizer, params=list(model.parameters()))
    batches = Batches(data.train, **vars(config.batching))
    scheduler = scheduler_of(config, optimizer, batches)
    use_threads(config.threads, batches.size * sum(parameter.numel() for parameter in model.parameters()))
    plan = plan_of(config, batches)
    step: Step = EagerStep(model, objective.criterion, optimizer, config.clip_grad_norm)
    if config.engine == "recorded" or (config.engine == "auto" and plan.steps >= _WORTH_RECORDING):
        step = RecordedStep(step)
    learner = Learner(model, objective, optimizer, step, scheduler)
    return Experiment(table, data, model, objective, learner, batches, plan, device)


def scheduler_of(config: Config, optimizer: Optimizer, batches: Batches) -> LRScheduler | None:
    """The schedule of the learning rate; a T_max that is null spans the whole run, in the schedule's own unit."""
    node = config.scheduler
    if node.get("_target_") is None:
        return None
    every = node.get("every", "epoch")
    if "T_max" in node and node["T_max"] is None:
        node = {**node, "T_max": config.epochs * (batches.steps_per_epoch if every == "step" else 1)}
    scheduler: LRScheduler = make("scheduler", node, without=("every",), optimizer=optimizer)
    if isinstance(scheduler, ReduceLROnPlateau) and every != "evaluation":
        raise ConfigError(
            f"scheduler.every={every}: a plateau is one of validation losses, so it steps with them",
            "scheduler.every=evaluation",
        )
    return scheduler


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
        longest=max(1, min(256, 2**18 // batches.size)),
    )


def make(group: str, node: dict[str, Any], without: tuple[str, ...] = (), **given: Any) -> Any:
    """What `node`'s `_target_` returns for the node's other keys, but those in `without`, and what is `given`.

    ConfigError, naming the key, if the target is not allowed, not there, or refuses.
    """
    target = node.get("_target_")
    function = resolve(group, target)
    arguments = {key: value for key, value in node.items() if key not in ("_target_", *without)}
    _refuse_unknown(group, str(target), function, arguments, given)
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


def resolve(group: str, target: object) -> Callable[..., Any]:
    """The function or class of that dotted name. ConfigError if it is not one that a config may name for that group."""
    packages = (*_ALLOWED[group], *exp.config.ALLOWED_BY_USER)
    kind = _KINDS[group].__name__ if group in _KINDS else "dataset function"
    root = str(target).partition(".")[0]
    own = ",".join((*exp.config.ALLOWED_BY_USER, root))
    nobodys = "." not in str(target) or root in (*sys.stdlib_module_names, "torch", "sklearn", "exp", "numpy")
    refusal = ConfigError(
        f"{group}._target_={shown(target)} is not allowed: a config may name a {kind} of {', '.join(packages)}",
        f"another {group}" if nobodys else f"another {group}, or if you trust it EXP_ALLOW={own} python -m exp ...",
    )
    # Names with an underscore are the packages' insides, and what those imported is not theirs.
    inside = isinstance(target, str) and not re.search(r"(^|\.)_", target) and _inside(target, packages)
    if not inside:
        raise refusal
    module, _, name = str(target).rpartition(".")
    found = _found(group, module, name)
    if group in _KINDS:
        right = isinstance(found, type) and issubclass(found, _KINDS[group])
    else:
        from_scikit_learn = module == "sklearn.datasets" or _inside(module, ("sklearn.datasets",))
        right = callable(found) and (not from_scikit_learn or _SCIKIT_LEARN.fullmatch(name) is not None)
    # As found, not as spelt: an allowed module may have imported anything.
    if not right or not _inside(f"{getattr(found, '__module__', '')}.", packages):
        raise refusal
    return cast("Callable[..., Any]", found)


def _found(group: str, module: str, name: str) -> object:
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        near = nearest(name, dir(importlib.import_module(module)))
        cure = f"{group}._target_={module}.{near}" if near else f"{group}._target_= and a name that {module} has"
        raise ConfigError(f"{group}._target_={module}.{name} does not exist", cure) from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise ConfigError(
            f"{group}._target_={module}.{name} does not exist", f"{group}._target_= and a module that is there"
        ) from error


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


def _refuse_wrong_end(config: Config, criterion: nn.Module) -> None:
    """A loss of probabilities needs a sigmoid at the model's end, one of logits has its own.

    Of a model that does not say how it ends, `Objective.check` judges the outputs.
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
