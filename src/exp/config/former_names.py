"""Keys and defaults of older versions: in the configs of their runs, and in what is still typed."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from exp.errors import as_yaml

# Keys of every config that older versions did not have, or had with another default: what their runs did.
_FORMER_DEFAULTS: dict[str, Any] = {
    "batching.accumulate": 1,
    "compile": False,
    "dataset.storage": "auto",
    "dataset.stratify": False,
    "dataset.train_on_val": False,
    "early_stopping.restore_best": False,
    "fold_repeats": 1,
    "metric": "loss",
    "metrics": [],
    "precision": "fp32",
}

# Those of them whose default means something else now, in every config.
_CHANGED_DEFAULTS = ("early_stopping.restore_best",)

# Configs of older versions do not have it.
_NEW_KEY = "fold_repeats"


def rename_override(key: str, value: str) -> str | None:
    """Return what an override of a key of older versions means now; None if `key` is none.

    Args:
        value: Its value, or several with commas between them.
    """
    if key not in ("dataset.standardize", "dataset.standardise"):
        return None
    is_off = [one.strip().lower() in ("false", "null", "none", "0") for one in value.split(",")]
    return f"dataset.scaler={','.join('none' if off else 'standard' for off in is_off)}"


def rename_overrides(words: Iterable[str]) -> list[str]:
    """Return the saved overrides of a run or sweep, with the present names of their keys."""
    split = [(word, *word.lstrip("+").partition("=")[::2]) for word in words]
    return [rename_override(key, value) or word for word, key, value in split]


def with_new_names(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run with dataset.scaler in place of dataset.standardize, which older versions had."""
    dataset = dict(content["dataset"])
    if "standardize" in dataset:
        dataset["scaler"] = "standard" if dataset.pop("standardize") else "none"
    return {**content, "dataset": dataset}


def normalize(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config `flat`, with dotted keys, so that it equals that of the same run in another version.

    It has the present names, and leaves out null and former defaults.
    """
    renamed = dict(flat)
    if "dataset.standardize" in renamed:
        renamed["dataset.scaler"] = "standard" if renamed.pop("dataset.standardize") else "none"
    if renamed.get("dataset.stratify") == "auto" and renamed.get("folds") is None:
        renamed["dataset.stratify"] = False
    if renamed.get("early_stopping.restore_best") == "auto":
        renamed["early_stopping.restore_best"] = renamed.get("early_stopping.patience") is not None
    return {
        key: value
        for key, value in renamed.items()
        if value is not None and not (key in _FORMER_DEFAULTS and value == _FORMER_DEFAULTS[key])
    }


def describe_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Return what changed, by key, from the config `then` to `now`: "seed was 1, is now 2". Their keys are dotted."""
    before, after = ({**_FORMER_DEFAULTS, **normalize(config)} for config in (then, now))
    return {
        key: f"{key} was {as_yaml(before.get(key))}, is now {as_yaml(after.get(key))}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }


def pin_former_defaults(flat: Mapping[str, Any], keys: Collection[str]) -> list[str]:
    """Return overrides that keep what the config `flat`, with dotted keys, has by default in an older version.

    Args:
        keys: Those that have an override already, or that a sweep varies.
    """
    if _NEW_KEY in flat:
        return []
    kept = normalize(flat)
    missing = (key for key in _CHANGED_DEFAULTS if key not in kept and key not in keys)
    return [f"{key}={as_yaml(_FORMER_DEFAULTS[key])}" for key in missing]
