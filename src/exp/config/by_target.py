"""Values that depend on the target: {classes: 0.04, numbers: 0.07} is 0.04 for classes and labels, 0.07 for numbers."""

from collections.abc import Mapping
from typing import Any, cast

KINDS = ("classes", "numbers")

# Groups whose arguments may have a value for each kind.
GROUPS = ("model", "loss", "optimizer", "scheduler")


def list_values(value: Any) -> list[Any]:
    """Return the two values of a mapping by kind of target; any other value alone."""
    if isinstance(value, Mapping) and set(cast("Mapping[str, Any]", value)) == set(KINDS):
        return [value[kind] for kind in KINDS]
    return [value]


def choose_by_target(node: Mapping[str, Any], is_categorical: bool) -> dict[str, Any]:
    """Return the arguments in `node`, each with its value for a target of classes or labels, or of numbers."""
    return {key: list_values(value)[0 if is_categorical else -1] for key, value in node.items()}
