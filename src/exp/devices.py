"""Where the tensors live, and how many threads torch computes with."""

import torch

from exp.errors import ConfigError

# Asked for before anything sets it: what a job that sets no number of its own goes back to.
_DEFAULT_THREADS = torch.get_num_threads()


def available() -> list[str]:
    """Kinds of device on this machine, the fastest first."""
    kinds = [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True)]
    return [kind for kind, there in kinds if there]


def device_of(name: str) -> torch.device:
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


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many threads; None: as many as it chose itself when the process began."""
    torch.set_num_threads(threads or _DEFAULT_THREADS)
