"""An experiment in words: lines for a person, facts for summary.json, columns for the HPARAMS page."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from exp.config.run_spec import RunSpec
from exp.config.schema import Config, flatten
from exp.data.splits import Splits
from exp.errors import as_yaml, pluralize
from exp.training.build import Experiment
from exp.training.environment import describe_environment
from exp.training.events import Built

# What is watched and where it runs does not make another model.
_NOT_HYPERPARAMETERS = (
    *("log_every", "eval_every", "save_every", "figures", "watch", "engine", "threads", "device.name"),
)


# Read by exp itself and said in other words, or not worth a line.
_HIDDEN_ARGUMENTS = ("_target_", "output", "every")


def describe(spec: RunSpec, experiment: Experiment) -> Built:
    """Return the event that starts a run."""
    machine = describe_environment(experiment.device)
    parameters = sum(p.numel() for p in experiment.model.parameters() if p.requires_grad)
    lines = _lines(spec.config, experiment, spec.choices, parameters, machine)
    return Built(
        lines=lines,
        facts={
            "seed": spec.config.seed,
            "parameters": parameters,
            "rows": {name: len(split) for name, split in experiment.data.splits.items()},
            "planned_steps": experiment.plan.steps,
            "described": lines,
            "data_sha256": experiment.data.fingerprint,
            "environment": machine,
        },
        hyperparameters=_hyperparameters(spec, experiment),
        steps=experiment.plan.steps,
        metrics=experiment.objective.metrics,
    )


def _lines(
    config: Config, experiment: Experiment, choices: Mapping[str, str], parameters: int, machine: dict[str, Any]
) -> dict[str, str]:
    data, batches, plan = experiment.data, experiment.batches, experiment.plan
    target = "" if data.preprocessing.target == "target" else f"{data.preprocessing.target}: "
    kind = target + ("regression" if data.classes is None else f"{len(data.classes)} classes")
    rows = len(data.train)
    if data.train is data.val:
        split = "no split: trained and evaluated on all rows"
    else:
        rows = sum(map(len, data.splits.values()))
        split = f"train {len(data.train):,} / val {len(data.val):,} / test {len(data.test):,}"
    scaled = ", standardised by the training rows" if config.dataset.get("standardize") else ""
    size = f"batches of {batches.size:,}" if batches.batch_size else f"full batch of {batches.size:,}"
    order = ", shuffled" if batches.shuffle else ""
    said = {
        "data": f"{choices['dataset']}: {rows:,} x {len(data.features)}{_column_kinds(data)}, {kind}; {split}{scaled}",
        "model": f"{_format_option(choices['model'], config.model)}: "
        f"{len(data.features)} -> {experiment.objective.outputs}, {parameters:,} parameters",
        "loss": _format_option(choices["loss"], config.loss),
        "optimizer": _format_option(choices["optimizer"], config.optimizer),
        "batching": f"{size}{order}: {pluralize(config.epochs, 'epoch')} of "
        f"{pluralize(batches.steps_per_epoch, 'step')} = {pluralize(plan.steps, 'step')}",
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
        + (f", {machine['gpu']}" if machine["gpu"] else ""),
        "versions": f"Python {machine['python']}, torch {machine['torch']}, device {machine['device']}"
        f"{' (auto)' if config.device.name == 'auto' else ''}, {pluralize(machine['threads'], 'thread')}, "
        f"seed {config.seed}",
    }
    if plan.schedule is not None:
        said["scheduler"] = (
            f"{_format_option(choices['scheduler'], config.scheduler)}, every {config.scheduler.get('every', 'epoch')}"
        )
    return said


def _column_kinds(data: Splits) -> str:
    """What a table's columns are, where they are not all numbers: (5 numbers, 2 categories)."""
    kinds = Counter(column.kind for column in data.preprocessing.columns)
    return f" ({', '.join(pluralize(kinds[kind], kind) for kind in kinds)})" if set(kinds) != {"number"} else ""


def _format_option(option: str, node: dict[str, Any]) -> str:
    """An option and its arguments, but those that are off: mlp(hidden=[10], activation=relu)."""
    on = {key: value for key, value in node.items() if key not in _HIDDEN_ARGUMENTS and value not in (None, False, 0)}
    return f"{option}({', '.join(f'{key}={as_yaml(value)}' for key, value in on.items())})"


def _hyperparameters(spec: RunSpec, experiment: Experiment) -> dict[str, str | int | float | bool]:
    """The same columns for every job of a sweep: what every run has, and what the command line names."""
    config = spec.config
    typed = [override.partition("=")[0].lstrip("+") for override in spec.overrides]
    # TensorBoard shows the first five unasked, by the alphabet: what hardly ever varies would hide the learning rate.
    always = ("dataset", "model", "optimizer", "batching")
    columns: dict[str, Any] = {
        **{group: option for group, option in spec.choices.items() if group in always or group in typed},
        "seed": config.seed,
        "batch_size": experiment.batches.size,  # never null, so that the column is one of numbers
        "lr": config.optimizer.get("lr", 0.0),
    }
    leaves = flatten({key: vars(value) if hasattr(value, "__dict__") else value for key, value in vars(config).items()})
    for key in typed:
        if key not in _NOT_HYPERPARAMETERS and key in leaves and key.rpartition(".")[2] not in columns:
            columns[key] = leaves[key]
    return {key: value if isinstance(value, int | float) else as_yaml(value) for key, value in columns.items()}
