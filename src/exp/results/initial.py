"""Find and read the parameters that `init=RUN` names. Checking the path imports no torch."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from exp.config.nearest_names import nearest
from exp.config.overrides import text_override
from exp.errors import ConfigError
from exp.results.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, final_checkpoint, is_run, read_config

if TYPE_CHECKING:
    from exp.training.events import State

_CHECKPOINTS = {"last": LAST_CHECKPOINT, "best": BEST_CHECKPOINT}


def find_initial(init: str) -> tuple[Path, str]:
    """Return the folder of the run that `init` names, and which of its checkpoints: last or best.

    Without `:last` or `:best` it is the one that the run's final metrics are of.

    Raises:
        ConfigError: There is no run, or it has no such checkpoint.
    """
    name, _, which = init.rpartition(":")
    if not name or which not in _CHECKPOINTS:
        name, which = init, ""
    folder = Path(name).expanduser()
    if not is_run(folder):
        near = nearest(folder.name, [path.name for path in folder.parent.glob("*") if is_run(path)])
        meant = next((path for path in sorted(folder.glob("*")) if is_run(path)), near and folder.with_name(near))
        override = text_override("init", str(meant)) if meant else None
        fix = shlex.quote(override) if override else "init= and the folder that a run named at its end"
        raise ConfigError(f"init={init}: no run is there", fix, key="init", override=override)
    if not which:
        which = final_checkpoint(folder, read_config(folder).get("early_stopping", {}))
    if not (folder / _CHECKPOINTS[which]).is_file():
        other = next((other for other, path in _CHECKPOINTS.items() if (folder / path).is_file()), None)
        override = None if other is None else text_override("init", f"{name}:{other}")
        fix = shlex.quote(override) if override else "a run that saved a checkpoint"
        what = f"init={init}: the run has no {_CHECKPOINTS[which]}"
        raise ConfigError(what, fix, key="init", override=override)
    return folder, which


def read_initial(init: str) -> "State":
    """Return parameters and preprocessing of the run that `init` names, and where they are from.

    Raises:
        ConfigError, CheckpointError: There is no run, or its checkpoint cannot be read.
    """
    from exp.results import checkpoints

    folder, which = find_initial(init)
    state = checkpoints.read(folder / _CHECKPOINTS[which])
    kept = {key: state[key] for key in ("model", "preprocessing")}
    return {"run": str(folder), "checkpoint": which, "step": state["step"], **kept}


def describe_initial(state: "State") -> dict[str, object]:
    """Return where initial parameters are from, for summary.json."""
    from exp.results import checkpoints

    return {
        **{key: state[key] for key in ("run", "checkpoint", "step")},
        "parameters": checkpoints.checksum(dict(state["model"])),
    }
