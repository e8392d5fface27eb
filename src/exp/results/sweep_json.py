"""sweep.json: which process runs a sweep, and the folders of its jobs. `exp.sweeps.manifest` adds the jobs."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from exp.results.atomic import replacement
from exp.results.heartbeat import is_own
from exp.results.run_folder import SWEEP_MANIFEST, is_sweep

# The types that other modules rely on.
_EXPECTED_TYPES = {"about": dict, "folders": dict, "varied": list, "jobs": int, "process": dict}


def read(folder: Path) -> dict[str, Any]:
    """Return the content of the sweep's sweep.json, without values of an unexpected type; empty if it cannot be read.

    `folders` has the name of each job's folder by the job's key, `varied` the keys of the config that the jobs vary,
    `jobs` how many jobs the last process was to run, `process` the process that runs the sweep, if one does.
    """
    try:
        content: Any = json.loads((folder / SWEEP_MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    return {key: value for key, value in known.items() if isinstance(value, _EXPECTED_TYPES.get(key, object))}


def write(folder: Path, content: dict[str, Any]) -> None:
    """Write `content` to the sweep's sweep.json."""
    with replacement(folder / SWEEP_MANIFEST) as temporary:
        temporary.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def remove_process(folder: Path) -> None:
    """Remove this process from the sweep's sweep.json, because the sweep and its tables are complete, or it failed.

    If no job has begun, the file is removed.
    """
    content = read(folder)
    if not is_own(content.get("process", {})):
        return
    if not is_sweep(folder):
        (folder / SWEEP_MANIFEST).unlink(missing_ok=True)
    else:
        del content["process"]
        with suppress(OSError):
            write(folder, content)
