"""How much memory there is, and whether the features of a dataset fit."""

import resource
from pathlib import Path

from exp.errors import DataError, format_bytes

_BYTES = 4  # of a feature in float32

# Training keeps the rows in the order of the epoch as well as the rows themselves.
_COPIES = 2

# So much is there. To ask takes as long as to prepare some thousand values.
_NEARLY_NOTHING = 2**20

# A limit as large as this is none.
_NO_LIMIT = 2**60


class FeaturesTooLargeError(DataError):
    """The features of a dataset do not fit into memory."""


def check_memory(rows: int, features: int) -> None:
    """Raise FeaturesTooLargeError if `rows` x `features` in float32 need more memory than there is."""
    needed = rows * features * _BYTES * _COPIES
    available = available_memory() if needed > _NEARLY_NOTHING else None
    if available is not None and needed > available:
        raise FeaturesTooLargeError(
            f"dataset: {rows:,} rows of {features:,} features need {format_bytes(needed)} of memory, but "
            f"{format_bytes(available)} are available",
            "dataset.storage=mapped, or fewer features, such as dataset.max_categories=20 or 'dataset.drop=[...]'",
        )


def available_memory() -> int | None:
    """Return the bytes of memory that this process can still get; None if the system does not say."""
    limits = [_read_meminfo(), *_list_group_limits(), *_list_process_limits()]
    return min((max(0, limit) for limit in limits if limit is not None), default=None)


def _read_meminfo() -> int | None:
    return _read_size(Path("/proc/meminfo"), "MemAvailable")


def _read_size(path: Path, name: str) -> int | None:
    """Return the bytes that a file of /proc says in a line such as `VmData: 12 kB`."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def _list_process_limits() -> list[int]:
    """Return what is left of the limits that `ulimit -v` and `ulimit -d` set."""
    limits: list[int] = []
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit, _ = resource.getrlimit(kind)
        used = _read_size(Path("/proc/self/status"), name)
        if limit != resource.RLIM_INFINITY and used is not None:
            limits.append(limit - used)
    return limits


def _list_group_limits() -> list[int]:
    """Return what is left of the limits of this process's control groups, such as those of a container or a job."""
    try:
        lines = _GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    limits: list[int] = []
    for line in ["0::/", *lines]:  # in a container, its own group is the root
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            root, names = _ROOTS[controllers]
            for folder in (Path(f"{root}/{group}"), *Path(f"{root}/{group}").parents):
                limits += _read_limit(folder, *names) if str(folder).startswith(root) else []
    return limits


_GROUPS = Path("/proc/self/cgroup")

# Where the control groups of the second and of the first version are, and the files of their limit and their use.
_ROOTS = {
    "": ("/sys/fs/cgroup", ("memory.max", "memory.current")),
    "memory": ("/sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
}


def _read_limit(folder: Path, limit: str, used: str) -> list[int]:
    """Return what is left of the limit of a control group; nothing if it has none."""
    try:
        most = int((folder / limit).read_text(encoding="utf-8"))
        left = most - int((folder / used).read_text(encoding="utf-8")) + _read_cache(folder)
    except (OSError, ValueError):  # none, or "max"
        return []
    return [left] if most < _NO_LIMIT else []


def _read_cache(folder: Path) -> int:
    """Return the bytes of files that count as used, and that the system gives up when memory is short."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    values = {name: int(value) for name, value in map(str.split, lines)}
    total = "total_" if "total_active_file" in values else ""  # with the groups below: always so in the second version
    return values.get(f"{total}inactive_file", 0) + values.get(f"{total}active_file", 0)
