"""Whether the rows of a dataset fit into memory, before they are loaded and before they are laid out."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exp.data.mapped.npy import read_shapes
from exp.errors import DataError

_BYTES = 4  # of a feature in float32

# Training keeps the rows in the order of the epoch beside the rows themselves.
_COPIES = 2

# Smaller files are not looked at: what they need is less than what the libraries take.
_SMALL = 2**25

# Bytes for a value of an array, besides the array: a copy in float64 of all rows, another one of their columns, and
# a third one of the training rows while the scaler is fitted.
_OF_ARRAYS = 28


def estimate_memory(node: Mapping[str, Any], files: Sequence[Path]) -> int | None:
    """Return about how many bytes of memory it takes to load and prepare the `files` of a dataset; None: few.

    Args:
        node: The dataset of the config.
    """
    if sum(file.stat().st_size for file in files) < _SMALL:
        return None
    if str(node["_target_"]).endswith(".arrays"):
        return _estimate_arrays(files)
    return None


def _estimate_arrays(files: Sequence[Path]) -> int | None:
    total = 0
    for file in files:
        try:
            shapes = read_shapes(file)
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile):
            return None  # the reader says what is wrong
        for shape, dtype in shapes.values():
            values = 1
            for side in shape:
                values *= side
            total += values * (dtype.itemsize + _OF_ARRAYS)
    return total


def check_memory(rows: int, features: int) -> None:
    """Raise DataError if `rows` x `features` in float32 need more memory than there is."""
    needed, available = rows * features * _BYTES * _COPIES, available_memory()
    if available is not None and needed > available:
        raise DataError(
            f"dataset: {rows:,} rows of {features:,} features need {needed / 2**30:.1f} GiB of memory, but "
            f"{available / 2**30:.1f} GiB are available",
            "fewer features, such as dataset.max_categories=20 or 'dataset.drop=[...]'",
        )


def available_memory() -> int | None:
    """Return the bytes of memory that this process can still get; None if the system does not say."""
    limits = [_read_meminfo(), _read_group_limit()]
    return min((limit for limit in limits if limit is not None), default=None)


def _read_meminfo() -> int | None:
    path = Path("/proc/meminfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _read_group_limit() -> int | None:
    """Return what is left of the limit of this process's control group, such as that of a container."""
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    try:
        return int(limit.read_text(encoding="utf-8")) - int(used.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or "max"
        return None
