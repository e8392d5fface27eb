"""The error for a file or folder that the system refuses to read or write."""

import errno
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from exp.errors import ConfigError

# Keys of what exists already: another one does not help. Other keys name a place that can be chosen anew.
_EXISTING = ("run", "runs", "other", "resume", "sweep.resume", "data", "dataset.path")

# Of them, those whose copy does.
_COPIED = ("run", "resume", "sweep.resume")


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
    named = str(error.filename) if error.filename else f"{default}={given[default]}" if default in given else default
    where = f"{key}={given[key]}" if key else named
    what = f"{where}: {reason}" + (f": {error.filename}" if key and str(error.filename) != given[key] else "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConfigError(what, "free some space on the disk")
    if key in _EXISTING and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        is_own = error.errno != errno.EROFS and _is_own(Path(given[key]).expanduser())
        return ConfigError(what, _permission(key, given[key], path, is_own), key=key)
    folder = "ANOTHER_FOLDER" if key != "out" else f"ANOTHER_FOLDER/{path.name}"
    return ConfigError(what, f"{key if key not in (None, *_EXISTING) else default}={folder}", key=key)


def _permission(key: str, given: str, path: Path, is_own: bool) -> str:
    """Return what gives the permission to read or write `path` in the folder or file that a key gives."""
    quoted = shlex.quote(given)
    if is_own:
        return f"chmod -R u+rwX {quoted}"
    if os.path.exists(path) and not os.access(path, os.R_OK):
        return f"permission to read {given}"
    copy = f", or a copy: cp -r {quoted} COPY, and {key}=COPY" if key in _COPIED else ""
    return f"permission to write in {given}{copy}"


def _is_own(place: Path) -> bool:
    """Return whether this user may change the permissions of a file or folder."""
    try:
        return os.geteuid() in (0, place.stat().st_uid)
    except OSError:
        return True


def _is_inside(path: Path, given: str) -> bool:
    place = Path(given).expanduser().absolute()
    return path.is_relative_to(place) or (path.stem == place.stem and path.parent == place.parent)
