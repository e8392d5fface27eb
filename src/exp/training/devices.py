"""Select the device that tensors live on, and the number of torch threads."""

from collections.abc import Iterator

import torch

from exp.config.cores import usable_cores
from exp.errors import ConfigError, pluralize

# Read before it is ever set, so that a job of a sweep does not inherit the number of the job before it.
_DEFAULT_THREADS = torch.get_num_threads()


# Rows times parameters at which a second thread begins to make a step faster.
_MIN_WORK_FOR_THREADS = 2**26


def list_device_types() -> list[str]:
    """Return the types of device on this machine, the fastest first."""
    types = [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]
    return [name for name, is_available in types if is_available]


def select_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is the fastest one.

    Raises:
        ConfigError: This machine has no such device. There is no fallback.
    """
    if name == "auto":
        return torch.device(list_device_types()[0])
    available = ", ".join(list_device_types())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"device.name={name}: unknown device '{name}' (available: {available})", "device=auto"
        ) from error
    is_missing_gpu = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in list_device_types() or is_missing_gpu:
        raise ConfigError(f"device.name={name}: not available on this machine (available: {available})", "device=auto")
    return device


def use_threads(threads: int | None, work: int) -> None:
    """Set the number of torch threads.

    Args:
        threads: The number; None: 1 for a small step, otherwise torch's default. Threads that synchronise at every
            operator of a small step make it slower, and much slower on a busy machine.
        work: Rows of a step times parameters.
    """
    torch.set_num_threads(threads or (1 if work < _MIN_WORK_FOR_THREADS else _DEFAULT_THREADS))


def list_extra_threads(threads: int | None) -> Iterator[str]:
    """Yield a note if there are more threads than cores: they wait for each other at every operator."""
    cores = usable_cores()
    if threads is not None and threads > cores:
        what = f"threads={threads} is more than the {pluralize(cores, 'core')} that exp may use"
        yield f"{what}, so steps are much slower; threads={cores} uses all of them"
