"""The number of cores that this process may use, which taskset, Slurm or a container may limit."""

import os


def usable_cores() -> int:
    """Return how many cores the process may use; on systems that do not say, how many the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
