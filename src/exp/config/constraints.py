"""The values that each key may have, and how an error message states them."""

import re
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias, cast

from exp.config.by_target import GROUPS, KINDS
from exp.config.column_names import COLUMN_CONSTRAINTS, ColumnKinds, ColumnName, ColumnNames
from exp.config.limits import Number, OneOf, OneOfEach, Text, ThreeParts
from exp.config.meant_values import accepted_items, closest_metric, other_number, read_text
from exp.config.metric_names import NAMES as METRIC_NAMES
from exp.config.metric_names import PATTERN as METRIC
from exp.config.nearest_names import nearest
from exp.config.overrides import quote_names
from exp.config.yaml_overrides import text_of
from exp.errors import ConfigError, as_yaml

CADENCE = re.compile(r"auto|([1-9]\d*)\s*(steps?|epochs?)?")


_POSITIVE = Number(0, open_low=True)
_COUNT = Number(1, whole=True)
_FRACTION = Number(0, 1, open_high=True)
_SWITCH = OneOf((True, False))
_CADENCE = Text(CADENCE, 'auto, or a number of steps or epochs: 100, "100 steps", "2 epochs"')
_METRICS = f"{', '.join(METRIC_NAMES)}, or a function MODULE.NAME of your own"
_WORDS = Text(re.compile(r".*\S.*"), "a name")
_ONE_DEVICE = "the name of one device, such as cuda:1; -m hydra/launcher=ray uses several, one job on each"
_ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus")


# key -> its constraint, and a valid value to suggest. Applied if the config has the key.
_Limit: TypeAlias = Number | OneOf | OneOfEach | Text | ThreeParts | ColumnName | ColumnNames | ColumnKinds
CONSTRAINTS: dict[str, tuple[_Limit, str]] = {
    **COLUMN_CONSTRAINTS,
    "seed": (Number(0, 2**63 - 1, whole=True), "0"),
    "epochs": (Number(1, whole=True, auto=True), "20"),
    "folds": (Number(2, whole=True, null=True), "5"),
    "fold_repeats": (Number(1, 1000, whole=True), "3"),
    "fold": (Number(0, whole=True, null=True), "0"),
    "figures": (OneOf(("auto", True, False)), "auto"),
    "metric": (Text(METRIC, f"the name of a metric: {_METRICS}"), "loss"),
    "metrics": (Text(METRIC, f"names of metrics: {_METRICS}", many=True), "[f1,auc]"),
    "watch": (_SWITCH, "true"),
    "sweep.workers": (Number(0, 1024, whole=True, auto=True), "1"),
    "sweep.on_error": (OneOf(("continue", "stop")), "continue"),
    "sweep.dry_run": (_SWITCH, "true"),
    "sweep.detach": (_SWITCH, "true"),
    "sweep.metric": (
        Text(
            re.compile(f"auto|({METRIC.pattern})/(val|test)"),
            f"auto, METRIC/val or METRIC/test, METRIC one of {_METRICS}",
        ),
        "loss/val",
    ),
    "batching.shuffle": (_SWITCH, "true"),
    "batching.drop_last": (_SWITCH, "false"),
    "batching.accumulate": (_COUNT, "4"),
    "engine": (OneOf(("auto", "eager", "replay", "compiled")), "auto"),
    "tracker.mode": (OneOf(("offline", "online")), "offline"),
    "tracker.project": (_WORDS, "exp"),
    "tracker.experiment": (_WORDS, "exp"),
    "device.name": (Text(re.compile(r"[^\s,\[\]]+"), _ONE_DEVICE), "cuda:0"),
    "precision": (OneOf(("fp32", "tf32", "bf16", "fp16")), "bf16"),
    "compile": (_SWITCH, "true"),
    "preflight": (OneOf(("on", "off")), "on"),
    "threads": (Number(1, 1024, whole=True, null=True), "1"),
    "ema": (Number(0, 1, open_low=True, open_high=True, null=True), "0.99"),
    "clip_grad_norm": (Number(0, open_low=True, null=True), "1.0"),
    "early_stopping.patience": (Number(1, whole=True, null=True), "10"),
    "early_stopping.min_delta": (Number(0), "0.0"),
    "early_stopping.restore_best": (OneOf(("auto", True, False)), "auto"),
    "early_stopping.on_tie": (OneOf(("first", "last")), "first"),
    "log_every": (_CADENCE, "auto"),
    "eval_every": (_CADENCE, "auto"),
    "save_every": (_CADENCE, "auto"),
    "batching.batch_size": (Number(1, whole=True, null=True, auto=True, at_most=True), "10"),
    "dataset.split": (ThreeParts(), "[.6,.2,.2]"),
    "dataset.header": (OneOf(("auto", False)), "false"),
    "dataset.day_first": (OneOf((None, True, False)), "true"),
    "dataset.seed": (Number(0, 2**63 - 1, whole=True, null=True), "0"),
    "dataset.scaler": (OneOf(("standard", "robust", "quantile", "none")), "standard"),
    "dataset.encode": (OneOf(("onehot", "embedding", "auto")), "auto"),
    "dataset.stratify": (OneOf(("auto", True, False)), "true"),
    "dataset.train_on_val": (_SWITCH, "true"),
    "dataset.storage": (OneOf(("auto", "memory", "mapped")), "mapped"),
    "dataset.scale_target": (OneOf(("auto", True, False, "log")), "auto"),
    "dataset.task": (OneOf(("auto", "classes", "regression", "labels")), "auto"),
    "dataset.missing": (OneOfEach((None, "auto", "error", "median", "drop"), "column: '{age: drop}'"), "auto"),
    "dataset.max_categories": (Number(1, whole=True, null=True, auto=True), "50"),
    "dataset.size": (Number(1, whole=True, null=True, many=True), "32"),
    "dataset.color": (OneOf(("auto", True, False)), "true"),
    "dataset.n_samples": (_COUNT, "1000"),
    "dataset.noise": (Number(0), "0.1"),
    "dataset.random_state": (Number(0, 2**32 - 1, whole=True), "0"),
    "model.hidden": (Number(1, whole=True, many=True), "[64,64]"),
    "model.channels": (Number(1, whole=True, many=True), "[8,16]"),
    "model.activation": (OneOf(_ACTIVATIONS), "relu"),
    "model.output_activation": (OneOf((None, *_ACTIVATIONS)), "sigmoid"),
    "model.dropout": (_FRACTION, "0.1"),
    "model.convolutions": (_COUNT, "2"),
    "model.layers": (_COUNT, "2"),
    "model.average": (_SWITCH, "true"),
    "model.bidirectional": (_SWITCH, "true"),
    "model.pooling": (OneOf(("max", "mean", "last")), "mean"),
    "model.bias": (_SWITCH, "true"),
    "model.parametric": (_SWITCH, "true"),
    "model.norm": (OneOf((None, "batch", "layer")), "layer"),
    "model.residual": (_SWITCH, "true"),
    "model.category_dim": (Number(1, whole=True, null=True), "8"),
    "model.embedding": (OneOf(("auto", None, "none", "pbld", "periodic", "piecewise")), "piecewise"),
    "model.init": (OneOf(("normal", "data")), "normal"),
    "model.k": (_COUNT, "16"),
    "model.kind": (OneOf(("mini", "full")), "mini"),
    "optimizer.lr": (Number(0, 10**9, open_low=True), "0.02"),
    "optimizer.momentum": (_FRACTION, "0.9"),
    "optimizer.nesterov": (_SWITCH, "true"),
    "optimizer.weight_decay": (Number(0), "0.0001"),
    "optimizer.fused": (OneOf((None, True, False)), "true"),
    "optimizer.betas": (Number(0, 1, open_high=True, length=2), "[0.9,0.999]"),
    "optimizer.alpha": (_FRACTION, "0.99"),
    "optimizer.eps": (Number(0), "1e-8"),
    "optimizer.lr_decay": (Number(0), "0.0"),
    "optimizer.lr_factors": (OneOfEach((None,), "name: '{bias: 0.1}'", Number(0)), "{bias: 0.1}"),
    "optimizer.decay_factors": (OneOfEach((None,), "name: '{bias: 0}'", Number(0)), "{bias: 0}"),
    "optimizer.max_iter": (_COUNT, "20"),
    "optimizer.history_size": (_COUNT, "100"),
    "scheduler.every": (OneOf(("step", "epoch", "evaluation")), "epoch"),
    "scheduler.T_max": (Number(1, whole=True, null=True), "20"),
    "scheduler.eta_min": (Number(0), "0.0"),
    "scheduler.step_size": (_COUNT, "10"),
    "scheduler.gamma": (_POSITIVE, "0.1"),
    "scheduler.factor": (Number(0, 1, open_low=True, open_high=True), "0.1"),
    "scheduler.patience": (Number(0, whole=True), "10"),
    "scheduler.start_factor": (Number(0, 1, open_low=True), "0.1"),
    "scheduler.total_iters": (_COUNT, "5"),
    "scheduler.total_steps": (Number(1, whole=True, null=True), "100"),
    "scheduler.cycles": (_COUNT, "4"),
    "scheduler.flat": (_FRACTION, "0.5"),
    "scheduler.warmup": (Number(0, 1), "0.1"),
    "scheduler.weight_decay": (OneOf(("constant", "flat_cosine")), "constant"),
    "scheduler.pct_start": (_FRACTION, "0.3"),
    "scheduler.cycle_momentum": (_SWITCH, "false"),
    "optimizer.rho": (Number(0, 1), "0.9"),
    "loss.output": (OneOf(("classes", "logit", "probability", "value")), "value"),
    "loss.label_smoothing": (Number(0, 1), "0.1"),
    "loss.delta": (_POSITIVE, "1.0"),
    "loss.class_weights": (OneOfEach((None, "balanced"), "class: '{yes: 20}'", _POSITIVE, lists=True), "balanced"),
    "loss.weight": (Number(0, many=True), "20"),
    "loss.pos_weight": (Number(0, many=True), "20"),
}

# Words that people type for true and false.
_SWITCH_WORDS = {
    **dict.fromkeys(("no", "off", "0", "none", "null", "never"), "false"),
    **dict.fromkeys(("yes", "on", "1", "always"), "true"),
}


def violation(key: str, value: object) -> ConfigError:
    """Return the error for a `value` that the constraint of `key` rejects."""
    limit, usual = CONSTRAINTS[key]
    is_by_target = hasattr(value, "keys") and key.partition(".")[0] in GROUPS
    if is_by_target and isinstance(limit, Number | OneOf):
        return _violation_by_target(key, cast("Mapping[str, object]", value), limit)
    corrected = suggest_override(key, value)
    items = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None
    got = _as_flow(items) if items is not None else as_yaml(cast("object", value))
    what = f"{key} must be {limit}, got {got}"
    if items and isinstance(limit, ColumnKinds) and (unused := limit.names_to_drop(items)):
        drop = shlex.quote(f"dataset.drop={quote_names(unused)}")
        return ConfigError(f"{what}; to leave a column out, name it in dataset.drop", drop, key=key)
    if isinstance(limit, OneOf) and (near := other_number(got, limit)):
        return ConfigError(what, f"{key}={near}, or another of these", key=key)
    is_example = isinstance(limit, OneOfEach) and got[:1] in ("[", "{") and corrected == f"{key}={usual}"
    return ConfigError(what, shlex.quote(corrected), key=key, override=None if is_example else corrected)


def _violation_by_target(key: str, values: Mapping[str, object], limit: Number | OneOf) -> ConfigError:
    """Return the error for values by the kind of the target, of which the fix keeps those that `limit` accepts."""
    fitting = [value for value in values.values() if limit.accepts(value)]
    kept = {kind: values[kind] if values.get(kind) in fitting else fitting[0] for kind in KINDS if fitting}
    corrected = f"{key}={_as_flow(kept)}" if kept else suggest_override(key)
    what = f"{key} must be {limit}, or {{classes: A, numbers: B}} of such values, got {_as_flow(values)}"
    return ConfigError(what, shlex.quote(corrected), key=key, override=corrected)


def _as_flow(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{name}: {as_yaml(value)}" for name, value in values.items()) + "}"


def example(key: str) -> str:
    """Return a valid override of `key`; KEY=VALUE if it has no constraint."""
    return suggest_override(key) if key in CONSTRAINTS else f"{key}=VALUE"


def suggest_override(key: str, value: object = None) -> str:
    """Return a valid override of a constrained `key`, as close to `value` as possible."""
    limit, usual = CONSTRAINTS[key]
    meant = None
    if (read := read_text(value)) is not None and limit.accepts(read):
        meant = text_of(read)
    elif isinstance(limit, OneOfEach) and isinstance(value, Mapping):
        meant = text_of(accepted_items(limit, cast("Mapping[str, object]", value)))
    elif isinstance(limit, Number) and limit.whole:
        with suppress(TypeError, ValueError, OverflowError):
            number = float(cast(str, value))
            meant = str(int(number)) if number.is_integer() and limit.accepts(int(number)) else None
    elif isinstance(limit, Text) and str(value) in ("step", "epoch", "1step", "1epoch", "steps", "epochs"):
        meant = "1epoch" if "epoch" in str(value) else "1"
    elif key in ("metric", "metrics", "sweep.metric"):
        meant = closest_metric(key, value)
    elif isinstance(limit, ColumnName | ColumnNames | ColumnKinds | ThreeParts) and value is not None:
        meant = limit.closest(value)
    elif isinstance(limit, OneOf | OneOfEach):
        switch = _SWITCH_WORDS.get(str(value).lower())
        is_switch = {True, False} <= {option for option in limit.options if isinstance(option, bool)}
        words = [option for option in limit.options if isinstance(option, str)]
        meant = switch if switch is not None and is_switch else nearest(str(value), words)
    return f"{key}={meant or usual}"


def list_override(key: str, values: list[str]) -> str | None:
    """Return the override meant by a list without brackets or a decimal comma; None if it is neither."""
    limit = CONSTRAINTS[key][0] if key in CONSTRAINTS else None
    takes_list = isinstance(limit, ThreeParts | ColumnNames) or (isinstance(limit, ColumnName) and limit.many)
    if takes_list or (isinstance(limit, Number) and (limit.many or limit.length == len(values))):
        return f"{key}=[{','.join(values)}]"
    if isinstance(limit, Number) and len(values) == 2 and all(part.isdigit() for part in values):
        meant = float(".".join(values))
        return f"{key}={meant:g}" if values[0] == "0" and limit.accepts(meant) else None
    return None


def fitting(value: str, keys: Iterable[str]) -> str | None:
    """Return the first of `keys` that accepts the number `value`, or null."""
    if value == "null":
        accepting = (key for key in keys if key in CONSTRAINTS and CONSTRAINTS[key][0].accepts(None))
        return next(accepting, None)
    with suppress(ValueError):
        number = float(value)
        given = int(number) if number.is_integer() else number
        limits = ((key, CONSTRAINTS[key][0]) for key in keys if key in CONSTRAINTS)
        return next((key for key, limit in limits if isinstance(limit, Number) and limit.accepts(given)), None)
    return None
