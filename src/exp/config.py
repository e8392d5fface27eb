"""The knobs that we own, typed, and what each may be.

Knows Hydra's configs and no torch, so that a mistake is answered at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.errors import ConfigError
from exp.limits import LIMITS
from exp.nearest import nearest

_HERE = Path(__file__).resolve().parent
# In a wheel the YAMLs lie in the package, in a checkout at the top.
CONF = next(folder for folder in (_HERE / "conf", _HERE.parents[1] / "conf") if (folder / "config.yaml").is_file())


# The user's own packages, which a config may name beside exp's: comma-separated, in the environment and nowhere else.
ALLOW_VARIABLE = "EXP_ALLOW"
# Read when the process begins: hydra.job.env_set could set it later.
ALLOWED_BY_USER = tuple(name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(",") if name.strip())


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
    engine: str
    threads: int | None
    preflight: str
    resume: str | None


ConfigStore.instance().store("schema", Config)


# Targets whose arguments LIMITS is about.
_OURS = ("exp.", "torch.", "sklearn.")
# Keys that stand beside a target's arguments and that exp reads itself, whosever the target is.
_READ_BY_EXP = ("dataset.split", "dataset.standardize", "loss.output", "scheduler.every")


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
    for group in ("dataset", "model", "optimizer", "loss"):
        if not content[group] or content[group].get("_target_") is None:
            raise ConfigError(
                f"{group} names no _target_", f"{group}=OPTION, one of those that python -m exp --help lists"
            )
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
        if isinstance(target, str) and not target.startswith(_OURS) and key not in _READ_BY_EXP:
            return False, None
        node = cast("dict[str, Any]", node)[part]
    return True, node


def _refuse_unread(content: dict[str, Any], schema: type, prefix: str) -> None:
    """Refuse keys that `+` or `++` added where nothing would read them."""
    known = {field.name: field.type for field in fields(schema)}
    for key in known:
        if key not in content:
            raise ConfigError(f"{prefix}{key} was taken away, and a run needs it", _example(f"{prefix}{key}"))
    for key, value in content.items():
        if key not in known:
            near = nearest(key, known)
            raise ConfigError(
                f"{prefix}{key} is no key of exp, and nothing would read what + adds; there are {', '.join(known)}",
                f"{prefix}{near}={shown(value)}" if near else f"the same without {prefix}{key}",
            )
        if isinstance(inner := known[key], type) and is_dataclass(inner):
            _refuse_unread(value, inner, f"{prefix}{key}.")
