"""The schema of a config: its keys, their types, and where its YAML files are.

It imports neither torch, which would delay every error message by a second, nor Hydra, which would delay every sweep.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from exp.config.yaml_comments import default_options

_HERE = Path(__file__).resolve().parents[1]

# In a wheel, conf/ is in the package; in a checkout, at the top.
CONF = next(folder for folder in (_HERE / "conf", _HERE.parents[1] / "conf") if (folder / "config.yaml").is_file())


# Not frozen: OmegaConf cannot compose a frozen schema.
@dataclass
class BatchingConfig:
    batch_size: Any  # a number, null, auto, or "<=256"
    shuffle: bool
    drop_last: bool
    accumulate: Any = 1  # folders of older runs do not have it


@dataclass
class DeviceConfig:
    name: Any  # a text; the constraint refuses a list


@dataclass
class EarlyStoppingConfig:
    patience: int | None
    min_delta: float
    restore_best: Any = False  # auto, or a Boolean; folders of older runs do not have it
    on_tie: str = "first"  # nor this


@dataclass
class SweepConfig:
    workers: Any  # a number, or auto
    on_error: str
    metric: str
    resume: str | None
    dry_run: bool
    detach: bool = False  # folders of older runs do not have it


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
    epochs: Any  # a number, or auto
    clip_grad_norm: float | None
    early_stopping: EarlyStoppingConfig
    log_every: str
    eval_every: str
    save_every: str
    figures: Any
    watch: bool
    engine: str
    threads: int | None
    preflight: str
    resume: str | None
    sweep: SweepConfig
    tracker: dict[str, Any] = field(
        default_factory=lambda: {"_target_": None}
    )  # folders of older runs do not have these
    init: str | None = None
    name: str | None = None
    notes: str | None = None
    metrics: Any = ()  # a name or names
    metric: str = "loss"
    folds: int | None = None
    fold_repeats: int = 1
    fold: int | None = None
    ema: float | None = None
    precision: str = "fp32"
    compile: bool = False


# GROUP=own:target has no keys of its own: the YAML file of an experiment gives the class and its arguments.
OWN_TARGET = "own:target"


# Settings of hydra.sweeper that only a search has: those that a YAML file may set too, and those of its study.
SEARCH_SETTINGS = ("n_trials", "sampler", "pruner", "seed")
STUDY_SETTINGS = ("storage", "study_name")


# Keys that change no number of a run; "sweep." stands for all that begin with it.
_WITHOUT_EFFECT = ("sweep.", "resume", "figures", "watch", "name", "notes")


def has_effect(key: str) -> bool:
    """Return whether the dotted key may change the numbers of a run."""
    return not key.startswith(_WITHOUT_EFFECT)


def restores_best(restore_best: Any, patience: Any) -> bool:
    """Return whether a run with these values of early_stopping ends with its best parameters."""
    return patience is not None if restore_best == "auto" else bool(restore_best)


def choices_of(taken: Mapping[str, Any]) -> dict[str, str]:
    """Return the option chosen in each group, in the config's order, from Hydra's record of choices."""
    return {group: str(taken[group]) for group in ("experiment", *Config.__dataclass_fields__) if taken.get(group)}


def default_option(group: str) -> str | None:
    """Return the option of `group` that a config has by default."""
    defaults = default_options((CONF / "config.yaml").read_text(encoding="utf-8"))
    return defaults[group].value if group in defaults else None


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one level of dotted keys; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            leaves |= flatten(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
