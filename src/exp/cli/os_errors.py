"""The error for a file or folder that the system refuses to read or write."""

import errno
import shlex
from collections.abc import Mapping
from pathlib import Path

from exp.errors import ConfigError

# Keys of what exists already: its permissions can be changed. Another key names a place that can be chosen anew.
_EXISTING = ("run", "runs", "other", "resume", "sweep.resume", "data", "dataset.path")


def explain_os_error(error: OSError, given: Mapping[str, str], default: str) -> ConfigError:
    """Return the error, with what to type.

    Args:
        error: What the system raised.
        given: The paths on the command line, by their keys.
        default: The key of a path to choose anew, if the file is in none of those.
    """
    path = Path(str(error.filename or ".")).absolute()
    reason = (error.strerror or str(error)).lower()
    key = next((key for key, value in given.items() if _is_inside(path, value)), None)
    where = f"{key}={given[key]}" if key else str(error.filename or default)
    what = f"{where}: {reason}" + (f": {error.filename}" if key and str(error.filename) != given[key] else "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConfigError(what, "free some space on the disk")
    if key in _EXISTING and error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(what, f"chmod -R u+rwX {shlex.quote(given[key])}", key=key)
    folder = "ANOTHER_FOLDER" if key != "out" else f"ANOTHER_FOLDER/{path.name}"
    return ConfigError(what, f"{key if key not in (None, *_EXISTING) else default}={folder}", key=key)


def _is_inside(path: Path, given: str) -> bool:
    place = Path(given).expanduser().absolute()
    return path.is_relative_to(place) or (path.stem == place.stem and path.parent == place.parent)
