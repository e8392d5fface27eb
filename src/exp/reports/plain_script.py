"""A run as a plain PyTorch script without exp, which has the same losses to the bit on the CPU."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from exp.config.allowlist import READ_BY_EXP, origin
from exp.config.instantiate import import_target
from exp.config.metric_names import is_higher_better
from exp.config.schema import Config
from exp.data.seeding import numpy_seed
from exp.errors import ConfigError
from exp.reports.render import render
from exp.reports.script_objects import has_torch_layers, object_sources, own_source
from exp.reports.source import format_arguments, user_modules
from exp.training.build import Experiment
from exp.training.labels import Labels
from exp.training.objectives import Binary, Multiclass
from exp.training.rows import split_seed


def write_script(
    experiment: Experiment, threads: int, rows: str, parameters: str = "", stop_at: int | None = None
) -> str:
    """Return the script's source; the names are those of templates/train.py.jinja.

    Args:
        threads: The number of threads the script sets.
        rows: Name of the .npz file, in the script's folder, that the script reads if `needs_rows(config)`.
        parameters: Name of the .pt file, in the script's folder, with the initial parameters of a run with init=.
        stop_at: The step after which the script ends; None: where the run ends.

    Raises:
        ConfigError: The run stops or schedules by evaluations in the middle of an epoch.
    """
    config = experiment.config
    modules = {module: ", ".join(sorted(names)) for module, names in user_modules(config).items()}
    return render(
        "train.py.jinja",
        seed=config.seed,
        epochs=0 if stop_at == 0 else config.epochs,
        stop_at=stop_at,
        threads=threads,
        user_modules=modules,
        **own_source(experiment),
        parameters_file=repr(parameters) if parameters else "",
        seeds_global_streams=bool(modules),
        numpy_seed=numpy_seed(config.seed),
        splits=tuple(experiment.data.splits),
        **_data(experiment, rows),
        **object_sources(experiment),
        **_training(experiment),
    )


def needs_rows(config: Config) -> bool:
    """Return whether the script cannot make the run's rows: they are from a file, or not split as by `random_split`."""
    known = config.dataset["_target_"].startswith(("sklearn.", "exp.data.synthetic."))
    is_split_otherwise = config.dataset.get("stratify") is True or config.fold is not None
    is_scaled_otherwise = config.dataset.get("scaler", "none") not in ("none", "standard")
    return not known or is_split_otherwise or is_scaled_otherwise or bool(config.dataset.get("train_on_val"))


def _data(experiment: Experiment, rows: str) -> dict[str, Any]:
    """`rows_file`, as a literal, or what makes the rows."""
    node = experiment.config.dataset
    if needs_rows(experiment.config):
        return {
            "rows_file": repr(rows),
            "source": "",
            "sklearn_module": "",
            "standardize": False,
            **_target(experiment),
        }
    module, _, name = node["_target_"].rpartition(".")
    is_ours = origin(module) == "exp"
    arguments = {key: value for key, value in node.items() if key not in ("_target_", *READ_BY_EXP["dataset"])}
    is_split = node.get("split") is not None
    return {
        "rows_file": "",
        "source": _source_without_annotations(import_target("dataset", node)) if is_ours else "",
        "sklearn_module": "" if is_ours else module,
        "dataset": name,
        "dataset_arguments": format_arguments(arguments),
        "is_multiclass": isinstance(experiment.objective, Multiclass),
        "split_seed": split_seed(experiment.config),
        "split_sizes": [len(split) for split in experiment.data.splits.values()] if is_split else [],
        "standardize": node.get("scaler") == "standard",
        **_target(experiment),
    }


def _target(experiment: Experiment) -> dict[str, Any]:
    """`target_mean` and `target_scale` as source, if the target is standardised."""
    scale = experiment.data.preprocessing.target_scale
    if scale is None:
        return {"target_scale": "", "target_log": False}
    mean, deviation = map(_as_source, (scale.mean, scale.scale))
    return {"target_mean": mean, "target_scale": deviation, "target_log": scale.log, "targets": len(scale.mean)}


def _as_source(numbers: Sequence[float]) -> str:
    return repr(numbers[0]) if len(numbers) == 1 else f"torch.tensor({list(numbers)!r}, dtype=torch.float64)"


def _source_without_annotations(function: Any) -> str:
    """Return the function's source, its body to the letter."""
    source = inspect.getsource(function)
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef)
    for argument in definition.args.args:
        argument.annotation = None
    body = source.rstrip().splitlines()[definition.body[0].lineno - 1 :]
    return "\n".join([f"def {definition.name}({ast.unparse(definition.args)}):", *body])


def script_parameters(experiment: Experiment, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by the names of the script's model, which is a layer itself if there is only one."""
    is_one_layer = isinstance(experiment.model, nn.Sequential) and len(experiment.model) == 1
    is_renamed = is_one_layer and has_torch_layers(experiment)
    return {name.removeprefix("0.") if is_renamed else name: value for name, value in parameters.items()}


def _training(experiment: Experiment) -> dict[str, Any]:
    config, batches, plan = experiment.config, experiment.batches, experiment.plan
    options = {"shuffle": batches.shuffle, "drop_last": config.batching.drop_last}
    arguments = {"batch_size": batches.size, **{name: True for name, is_on in options.items() if is_on}}
    train_w = ", train_w" if experiment.data.train.weights is not None else ""
    loader = f"DataLoader(TensorDataset(train_x, train_y{train_w}), {format_arguments(arguments)})"
    epochs_between, steps_between = divmod(plan.evaluate, batches.steps_per_epoch)
    if steps_between and (plan.patience or plan.schedule not in (None, 1)):
        raise ConfigError(
            "format=script cannot stop or schedule by evaluations in the middle of an epoch",
            "a run with eval_every=1epoch",
        )
    if plan.metric not in ("loss", "error", experiment.objective.metrics[0]) and (plan.patience or plan.restore_best):
        raise ConfigError(
            f"format=script cannot choose the best parameters by metric={plan.metric}",
            "checkpoint=RUN/checkpoints/best.pt, whose script ends at the step of these parameters; or format=pt2",
        )
    metric = experiment.objective.metrics[0] if plan.metric == "error" else plan.metric  # in the same order
    every_epochs = f"(epoch + 1) % {epochs_between} == 0 or epoch + 1 == {config.epochs}" if epochs_between > 1 else ""
    every_steps = f"step % {plan.evaluate} == 0 or step == {plan.steps}"
    return {
        "loader": loader if batches.batch_size is not None or batches.shuffle else "",
        "clip_grad_norm": config.clip_grad_norm,
        "patience": plan.patience,
        "min_delta": plan.min_delta,
        "restore_best": plan.restore_best,
        "evaluates_within_epoch": bool(steps_between),
        "evaluate_if": every_steps if steps_between else every_epochs,
        "metric": _metric(experiment),
        "measure_index": 0 if plan.metric == "loss" else 1,
        "sign": "-" if is_higher_better(metric) else "",
        "is_below": "<=" if plan.on_tie == "last" else "<",
    }


def _metric(experiment: Experiment) -> str:
    is_weighted = experiment.data.train.weights is not None
    if isinstance(experiment.objective, Multiclass):
        return f"{_mean('(output.argmax(1) == y).double()', is_weighted)}.item()"
    if isinstance(experiment.objective, Binary | Labels):
        threshold = 0.0 if experiment.objective.probability is torch.sigmoid else 0.5
        is_right = f"((output >= {threshold}) == (y == 1)).double()"
        reduced = ".squeeze(1)" if experiment.objective.outputs == 1 else ".mean(1)"
        return f"{_mean(is_right + reduced * is_weighted, is_weighted)}.item()"
    scale = experiment.data.preprocessing.target_scale
    if scale is None:
        squares = "(output - y).double().square()"
    elif scale.log:
        squares = "(own_unit(output) - own_unit(y)).square()"
    else:
        squares = "((output.double() - y) * y_scale).square()"
    return f"{_mean(squares + '.mean(1)' * is_weighted, is_weighted)}.sqrt().item()"


def _mean(values: str, is_weighted: bool) -> str:
    return f"weighted({values}, w)" if is_weighted else f"{values}.mean()"
