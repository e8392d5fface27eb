"""summary.json on the disk: what a run was, how it ended and what came out, for other programs."""

import json
import math
import os
from pathlib import Path
from typing import Any, cast

NAME = "summary.json"
# What other modules read of it, and as what.
_KINDS = {
    "environment": dict,
    "choices": dict,
    "final": dict,
    "best": dict,
    "described": dict,
    "overrides": list,
    "notes": list,
}


def read(folder: Path) -> dict[str, Any]:
    """What `folder`/summary.json says, as far as it can be read and is of the kind that it should be."""
    try:
        content: Any = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    known = cast("dict[str, Any]", content)
    return {key: value for key, value in known.items() if isinstance(value, _KINDS.get(key, object))}


def machine(folder: Path) -> str:
    """A line for each thing that the run's numbers depend on besides its config, for a person."""
    found: dict[str, Any] = read(folder).get("environment", {})
    return "\n".join(f"{key:<14} {value}" for key, value in found.items())


def write(folder: Path, content: dict[str, Any]) -> None:
    """Put `content` there in one move."""
    beside = folder / "summary.tmp"
    beside.write_text(json.dumps(_finite(content), indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(beside, folder / NAME)


def write_failure(folder: Path, error: str, overrides: list[str]) -> None:
    """Say for a run whose process died that it failed."""
    write(folder, {"overrides": overrides, **read(folder), "status": "failed", "error": error})


def _finite(value: Any) -> Any:
    """The value without NaN and infinity, which JSON does not have: they become words."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
