"""Keys of older versions: in the configs of their runs, and in what is still typed."""

from collections.abc import Mapping
from typing import Any


def renamed_override(key: str, value: str) -> str | None:
    """Return what an override of a key of older versions means now; None if `key` is none."""
    if key not in ("dataset.standardize", "dataset.standardise"):
        return None
    return f"dataset.scaler={'none' if value.lower() in ('false', 'null', 'none', '0') else 'standard'}"


def with_new_names(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run with dataset.scaler in place of dataset.standardize, which older versions had."""
    dataset = dict(content["dataset"])
    if "standardize" in dataset:
        dataset["scaler"] = "standard" if dataset.pop("standardize") else "none"
    return {**content, "dataset": dataset}
