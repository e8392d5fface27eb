"""Checkpoints on disk: tensors and plain values only, whole or not there at all, read without running anything."""

import os
from pathlib import Path
from typing import Any, cast

import torch

from exp.errors import CheckpointError
from exp.events import State

FORMAT = 1


def write(path: Path, state: State) -> None:
    """Put `state` at `path` in one move, so that a reader, or a crash, finds the old checkpoint or the new one."""
    beside = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error}", "free some space, or choose another hydra.run.dir"
        ) from error


def read(path: Path) -> dict[str, Any]:
    """The state at `path`, its tensors on the CPU. CheckpointError if it is not one of ours, whole and harmless."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises all kinds for a damaged file
        raise CheckpointError(f"{path} cannot be read: {error}", "name another checkpoint of the run") from error
    if not isinstance(state, dict) or cast("dict[str, Any]", state).get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of format {FORMAT}", "name another checkpoint")
    return cast("dict[str, Any]", state)
