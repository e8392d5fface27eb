"""The knobs that we own, typed, and what each may be.

Knows Hydra's configs and no torch, so that a mistake is answered at once.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.cadence import CADENCE
from exp.errors import ConfigError
from exp.nearest import nearest

_HERE = Path(__file__).resolve().parent
# In a wheel the YAMLs lie in the package, in a checkout at the top.
CONF = next(folder for folder in (_HERE / "conf", _HERE.parents[1] / "conf") if (folder / "config.yaml").is_file())


# Not frozen: OmegaConf cannot compose a frozen schema.
@dataclass
class BatchingConfig:
    batch_size: int | None
    shuffle: bool
    drop_last: bool


@dataclass
class DeviceConfig:
    name: str


@dataclass
class EarlyStoppingConfig:
    patience: int | None
    min_delta: float


@dataclass
class Config:
    """One run's choices. A dict holds a `_target_`, its arguments, and what exp itself reads of that group."""

    dataset: dict[str, Any]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    loss: dict[str, Any]
    batching: BatchingConfig
    device: DeviceConfig
    seed: int
    epochs: int
    clip_grad_norm: float | None
    early_stopping: EarlyStoppingConfig
    log_every: str
    eval_every: str
    save_every: str
    figures: bool
    threads: int | None


ConfigStore.instance().store("schema", Config)


@dataclass(frozen=True)
class Number:
    """The numbers a key may hold: from `low` to `high`; the ends belong to it unless they are open."""

    low: float
    high: float = math.inf
    whole: bool = False
    open_low: bool = False
    open_high: bool = False
    null: bool = False
    many: bool = False  # a list of such numbers will do too

    def allows(self, value: object) -> bool:
        if value is None:
            return self.null
        if self.many and isinstance(value, list):
            return all(self.allows(item) for item in cast("list[object]", value))
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f"above {self.low:g}" if self.open_low else f"of at least {self.low:g}"
        high = "" if math.isinf(self.high) else f" and {'below' if self.open_high else 'at most'} {self.high:,}"
        return f"{kind} {low}{high}{', or a list of them' if self.many else ''}{', or null' if self.null else ''}"


@dataclass(frozen=True)
class OneOf:
    options: tuple[object, ...]

    def allows(self, value: object) -> bool:
        return any(value is option or (isinstance(option, str) and value == option) for option in self.options)

    def __str__(self) -> str:
        return "one of " + ", ".join(str(option).lower() for option in self.options)


@dataclass(frozen=True)
class Text:
    pattern: re.Pattern[str]
    meaning: str

    def allows(self, value: object) -> bool:
        return isinstance(value, str) and self.pattern.fullmatch(value) is not None

    def __str__(self) -> str:
        return self.meaning


_POSITIVE = Number(0, open_low=True)
_COUNT = Number(1, whole=True)
_FRACTION = Number(0, 1, open_high=True)
_SWITCH = OneOf((True, False))
_CADENCE = Text(CADENCE, 'auto, or a number of steps or epochs: 100, "100 steps", "2 epochs"')

_ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus")

# key -> what it may be, and a value to try. A key that an option does not have is not asked for.
LIMITS: dict[str, tuple[Number | OneOf | Text, str]] = {
    "seed": (Number(0, 2**63 - 1, whole=True), "0"),
    "epochs": (_COUNT, "20"),
    "threads": (Number(1, whole=True, null=True), "1"),
    "clip_grad_norm": (Number(0, open_low=True, null=True), "1.0"),
    "early_stopping.patience": (Number(1, whole=True, null=True), "10"),
    "early_stopping.min_delta": (Number(0), "0.0"),
    "log_every": (_CADENCE, "auto"),
    "eval_every": (_CADENCE, "auto"),
    "save_every": (_CADENCE, "auto"),
    "batching.batch_size": (Number(1, whole=True, null=True), "10"),
    "dataset.standardize": (_SWITCH, "true"),
    "dataset.n_samples": (_COUNT, "1000"),
    "dataset.noise": (Number(0), "0.1"),
    "dataset.random_state": (Number(0, 2**32 - 1, whole=True), "0"),
    "model.hidden": (Number(1, whole=True, many=True), "[64,64]"),
    "model.activation": (OneOf(_ACTIVATIONS), "relu"),
    "model.output_activation": (OneOf((None, *_ACTIVATIONS)), "sigmoid"),
    "model.dropout": (_FRACTION, "0.1"),
    "model.bias": (_SWITCH, "true"),
    "optimizer.lr": (_POSITIVE, "0.02"),
    "optimizer.momentum": (_FRACTION, "0.9"),
    "optimizer.nesterov": (_SWITCH, "true"),
    "optimizer.weight_decay": (Number(0), "0.0001"),
    "optimizer.betas": (Number(0, 1, open_high=True, many=True), "[0.9,0.999]"),
    "optimizer.alpha": (_FRACTION, "0.99"),
    "optimizer.eps": (Number(0), "1e-8"),
    "optimizer.lr_decay": (Number(0), "0.0"),
    "optimizer.max_iter": (_COUNT, "20"),
    "optimizer.history_size": (_COUNT, "100"),
    "scheduler.every": (OneOf(("step", "epoch", "evaluation")), "epoch"),
    "scheduler.T_max": (_COUNT, "20"),
    "scheduler.eta_min": (Number(0), "0.0"),
    "scheduler.step_size": (_COUNT, "10"),
    "scheduler.gamma": (_POSITIVE, "0.1"),
    "scheduler.factor": (Number(0, 1, open_low=True, open_high=True), "0.1"),
    "scheduler.patience": (Number(0, whole=True), "10"),
    "scheduler.start_factor": (Number(0, 1, open_low=True), "0.1"),
    "scheduler.total_iters": (_COUNT, "5"),
    "loss.output": (OneOf(("classes", "logit", "probability", "value")), "value"),
    "loss.label_smoothing": (Number(0, 1), "0.1"),
    "loss.delta": (_POSITIVE, "1.0"),
}


# Targets whose arguments the limits above are about.
_OURS = ("exp.", "torch.", "sklearn.")


def check(cfg: DictConfig) -> Config:
    """The composed config, typed. ConfigError names the first key that is missing, unknown or out of its range."""
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        content = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}", _example(str(error.full_key))) from error
    if missing:
        raise ConfigError(f"{missing[0]} has no value and needs one", _example(missing[0]))
    _refuse_unread(content, Config, "")
    for key, (limit, _) in LIMITS.items():
        found, value = _lookup(content, key)
        if found and not limit.allows(value):
            raise ConfigError(f"{key} must be {limit}, not {shown(value)}", _example(key))
    return cast(Config, OmegaConf.to_object(cfg))


def shown(value: object) -> str:
    """A value as one would type it: null, true, [1,2], abc."""
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in cast('list[object]', value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one level of dotted keys; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            leaves |= flat(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def _example(key: str) -> str:
    return f"{key}={LIMITS[key][1] if key in LIMITS else 'VALUE'}"


def _lookup(content: dict[str, Any], key: str) -> tuple[bool, Any]:
    """Whether `key` is there for us to judge, and its value: what a user's own class takes is the user's business."""
    node: Any = content
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return False, None
        target = cast("dict[str, Any]", node).get("_target_")
        if isinstance(target, str) and not target.startswith(_OURS):
            return False, None
        node = cast("dict[str, Any]", node)[part]
    return True, node


def _refuse_unread(content: dict[str, Any], schema: type, prefix: str) -> None:
    """Refuse keys that `+` or `++` added where nothing would read them."""
    known = {field.name: field.type for field in fields(schema)}
    for key, value in content.items():
        if key not in known:
            near = nearest(key, known)
            raise ConfigError(
                f"{prefix}{key} is no key of exp, and nothing would read what + adds; there are {', '.join(known)}",
                f"{prefix}{near}={shown(value)}" if near else f"the same without {prefix}{key}",
            )
        if isinstance(inner := known[key], type) and is_dataclass(inner):
            _refuse_unread(value, inner, f"{prefix}{key}.")
