"""Whether the rows of a dataset fit into memory, before they are laid out."""

from pathlib import Path

from exp.errors import DataError

_BYTES = 4  # of a feature in float32

# Training keeps the rows in the order of the epoch beside the rows themselves.
_COPIES = 2


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
