"""Where the tensors live, and how many threads torch computes with."""

import torch

from exp.errors import ConfigError

# Asked for before anything sets it, so that no job of a sweep inherits another's number.
_DEFAULT_THREADS = torch.get_num_threads()


# Rows times parameters, from which on a second thread makes a step faster.
_MIN_WORK_FOR_THREADS = 2**24


def available() -> list[str]:
    """Kinds of device on this machine, the fastest first."""
    kinds = [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]
    return [kind for kind, there in kinds if there]


def select_device(name: str) -> torch.device:
    """The device of that name; `auto` is the fastest kind there is. ConfigError if it is not there: no fallback."""
    if name == "auto":
        return torch.device(available()[0])
    here = ", ".join(available())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device.name={name} is no device; this machine has {here}", "device=auto") from error
    beyond = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in available() or beyond:
        raise ConfigError(f"device.name={name} is not on this machine, which has {here}", "device=auto")
    return device


def use_threads(threads: int | None, work: int) -> None:
    """Let torch compute with so many threads; None: with one where a step is small, else with as many as torch chose.

    `work` is the rows of a step times the parameters. Threads that wait for each other at every operator of a small
    step cost more than they bring, and many times more on a busy machine.
    """
    torch.set_num_threads(threads or (1 if work < _MIN_WORK_FOR_THREADS else _DEFAULT_THREADS))
