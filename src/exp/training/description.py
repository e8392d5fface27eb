"""Describe an experiment: lines for people, facts for summary.json, columns for TensorBoard's HPARAMS page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from exp.config.overrides import option_names
from exp.config.run_spec import RunSpec
from exp.config.schema import flatten
from exp.config.user_sources import hash_sources
from exp.data.splits import Splits
from exp.errors import as_yaml, pluralize, shorten
from exp.training.build import Experiment
from exp.training.choices import list_decided
from exp.training.environment import describe_environment
from exp.training.events import Built
from exp.training.precision import describe_precision

# Keys that do not change the model.
_NOT_HYPERPARAMETERS = (
    *("log_every", "eval_every", "save_every", "figures", "watch", "engine", "threads", "device.name"),
    *("name", "notes"),
)


# Arguments that are read by exp itself, or are described in another line.
_HIDDEN_ARGUMENTS = ("_target_", "output", "every", "class_weights")


# Classes whose weights are listed.
_MAX_CLASSES = 8


def describe(spec: RunSpec, experiment: Experiment) -> Built:
    """Return the event that starts a run."""
    machine = describe_environment(experiment.device)
    parameters = sum(p.numel() for p in experiment.model.parameters() if p.requires_grad)
    decided = list_decided(spec.config, experiment.config)
    names = option_names(spec.choices, spec.overrides)
    lines = _lines(experiment, names, decided, parameters, machine)
    return Built(
        lines=lines,
        facts={
            "seed": experiment.config.seed,
            "parameters": parameters,
            "rows": {name: len(split) for name, split in experiment.data.splits.items()},
            "engine": experiment.config.engine,
            "planned_steps": experiment.plan.steps,
            "described": lines,
            "decided": decided,
            **_class_weights(experiment.data),
            "data_sha256": experiment.data.fingerprint,
            "split_sha256": experiment.data.split_fingerprint,
            "environment": machine,
            **({"own_code": own} if (own := hash_sources(spec.config)) else {}),
        },
        hyperparameters=_hyperparameters(names, spec.overrides, experiment),
        steps=experiment.plan.steps,
        metrics=(*experiment.objective.metrics, *experiment.objective.chosen.names),
        metric=experiment.plan.metric,
        restores_best=experiment.plan.restore_best,
    )


def _lines(
    experiment: Experiment,
    choices: Mapping[str, str],
    decided: Mapping[str, Any],
    parameters: int,
    machine: dict[str, Any],
) -> dict[str, str]:
    config, data, batches, plan = experiment.config, experiment.data, experiment.batches, experiment.plan
    auto = {key: " (auto)" if key in decided else "" for key in ("epochs", "batching.batch_size", "loss")}
    target = "" if data.preprocessing.target == "target" else f"{data.preprocessing.target}: "
    predicted = data.preprocessing.target_kind
    values = f" of {len(predicted.names)} values" if len(predicted.names) > 1 else ""
    numbered = f"{len(predicted.names)} {predicted.kind}"
    kind = target + (numbered if predicted.is_categorical else f"regression{values}")
    rows = len(data.train)
    if data.train is data.val:
        split = "no split: trained and evaluated on all rows"
    else:
        rows = sum(map(len, data.splits.values()))
        split = " / ".join(f"{name} {len(part):,}" for name, part in data.splits.items())
    if config.folds is not None and config.fold is not None:
        split += f" (fold {config.fold} of 0 to {config.folds * config.fold_repeats - 1})"
    scaled = "" if data.preprocessing.scaler is None else f", {data.preprocessing.scaler.described}"
    size = f"batches of {batches.size:,}" if batches.batch_size else f"full batch of {batches.size:,}"
    size += auto["batching.batch_size"]
    order = ", shuffled" if batches.shuffle else ""
    lines = {
        "data": f"{choices['dataset']}: {rows:,} x {_sides(data)}{_column_kinds(data)}, {kind}; {split}{scaled}",
        **_target_line(data, "dataset.scale_target" in decided),
        "model": f"{_format_option(choices['model'], config.model)}: "
        f"{len(data.features)} -> {experiment.objective.outputs}, {pluralize(parameters, 'parameter')}",
        **({"init": f"the parameters of {config.init}"} if config.init is not None else {}),
        "loss": f"{_format_option(decided.get('loss', choices['loss']), config.loss)}{auto['loss']}",
        **_weights_line(data, config.loss.get("class_weights"), config.dataset.get("weight")),
        "optimizer": _format_option(choices["optimizer"], config.optimizer),
        "batching": f"{size}{order}: {pluralize(config.epochs, 'epoch')}{auto['epochs']} of "
        f"{pluralize(batches.steps_per_epoch, 'step')} = {pluralize(plan.steps, 'step')}",
        "machine": f"{machine['cpu']}, {pluralize(machine['cores'], 'core')}, {machine['memory_gib']} GiB"
        + (f", {machine['gpu']}" if machine["gpu"] else ""),
        "versions": f"Python {machine['python']}, torch {machine['torch']}, device {machine['device']}"
        f"{' (auto)' if config.device.name == 'auto' else ''}, {pluralize(machine['threads'], 'thread')}, "
        f"seed {config.seed}",
    }
    if config.batching.accumulate > 1:
        lines["pieces"] = (
            f"each batch in pieces of at most {pluralize(-(-batches.size // config.batching.accumulate), 'row')}, "
            "one after the other; loss and gradients are those of the batch up to rounding"
        )
    lines |= describe_precision(config.precision)
    if config.compile:
        lines["compile"] = (
            "forward pass and loss by torch.compile; the loss of a step differs from that of an eager one by up to "
            "0.001 %"
        )
    if config.engine == "compiled":
        from exp.compiled.compile_step import why_never_compiled  # Lazy: most runs do not need the compiler.

        learner, is_in_pieces = experiment.learner, config.batching.accumulate > 1
        reason = learner.step.fallback_reason or why_never_compiled(learner.optimizer, learner.precision, is_in_pieces)
        lines["engine"] = (
            "compiled: after the first 4 steps, in C unless a note says why not; an update differs from that of an "
            "eager step by up to 0.001 % of the largest one"
            if reason is None
            else f"compiled was asked for, and nothing is compiled: {reason}"
        )
    if config.ema is not None:
        lines["ema"] = f"evaluated and kept: the moving average of the parameters with decay {config.ema:g}"
    patience = pluralize(plan.patience or 0, "evaluation")
    stopping = [f"after {patience} without improvement"] if plan.patience is not None else []
    if plan.restore_best:
        stopping.append(f"with the parameters of {plan.best}")
    if stopping:
        lines["stopping"] = ", ".join(stopping)
    if plan.schedule is not None:
        lines["scheduler"] = (
            f"{_format_option(choices['scheduler'], config.scheduler)}, every {config.scheduler.get('every', 'epoch')}"
        )
    return lines


def _target_line(data: Splits, is_auto: bool) -> dict[str, str]:
    """Return the line on a standardised target; empty if it is not."""
    scale = data.preprocessing.target_scale
    if scale is None:
        return {}
    names = [f"{name} " for name in data.preprocessing.target_names] if len(scale.mean) > 1 else [""]
    sizes = ", ".join(
        f"{name}{mean:,.6g} ± {size:,.6g}" for name, mean, size in zip(names, scale.mean, scale.scale, strict=True)
    )
    return {
        "target": f"{'its logarithm is ' if scale.log else ''}standardised by the training rows{' (auto)' * is_auto}: "
        f"{sizes}; the loss is in this unit, metrics and predictions in the target's own; to leave it as it is: "
        "dataset.scale_target=false"
    }


def _class_weights(data: Splits) -> dict[str, Any]:
    """Return the fact `class_weights`, by class; empty if there are none."""
    weights = data.preprocessing.class_weights
    return {} if weights is None else {"class_weights": dict(zip(data.classes or (), weights, strict=True))}


def _weights_line(data: Splits, choice: Any, column: str | None) -> dict[str, str]:
    """Return the line on the weights of classes and rows; empty if there are none."""
    weights, classes = data.preprocessing.class_weights, data.classes
    parts = [f"{column} for each row, in the loss and the metrics"] if column is not None else []
    if weights is not None and classes is not None:
        shown = [f"{name} {weight:.4g}" for name, weight in zip(classes, weights, strict=True)]
        parts.append(f"{shorten(shown, limit=_MAX_CLASSES)}{' (balanced)' * (choice == 'balanced')}, in the loss alone")
    return {"weights": "; ".join(parts)} if parts else {}


def _sides(data: Splits) -> str:
    """Return the number of features, or the shape of a sequence or image: 1 x 8 x 8."""
    return " x ".join(map(str, data.preprocessing.shape or (len(data.features),)))


def _column_kinds(data: Splits) -> str:
    """Return the kinds of columns, such as " (5 numbers, 2 categories)"; empty if all are numbers."""
    kinds = Counter(column.kind for column in data.preprocessing.columns)
    return f" ({', '.join(pluralize(kinds[kind], kind) for kind in kinds)})" if set(kinds) != {"number"} else ""


def _format_option(option: str, node: dict[str, Any]) -> str:
    """Return an option with the arguments that are in use: mlp(hidden=[10], activation=relu)."""
    used = {key: value for key, value in node.items() if key not in _HIDDEN_ARGUMENTS and value not in (None, False, 0)}
    return f"{option}({', '.join(f'{key}={as_yaml(value)}' for key, value in used.items())})"


def _hyperparameters(
    names: Mapping[str, str], overrides: Sequence[str], experiment: Experiment
) -> dict[str, str | int | float | bool]:
    """Return the HPARAMS columns: some that every run has, and the keys of the overrides.

    They are the same for every job of a sweep.
    """
    config = experiment.config
    words = (override.partition("=")[0].lstrip("+") for override in overrides)
    keys = [key for key in words if key.partition(".")[0] != "tracker"]
    # By default TensorBoard shows the first five in alphabetical order: more groups would hide the learning rate.
    always = ("dataset", "model", "optimizer", "batching")
    columns: dict[str, Any] = {
        **{group: option for group, option in names.items() if group in always or group in keys},
        "seed": config.seed,
        "batch_size": experiment.batches.size,  # never null, so that the column is numeric
        "lr": config.optimizer.get("lr", 0.0),
    }
    leaves = flatten({key: vars(value) if hasattr(value, "__dict__") else value for key, value in vars(config).items()})
    for key in keys:
        if key not in _NOT_HYPERPARAMETERS and key in leaves and key.rpartition(".")[2] not in columns:
            columns[key] = leaves[key]
    return {key: value if isinstance(value, int | float) else as_yaml(value) for key, value in columns.items()}
