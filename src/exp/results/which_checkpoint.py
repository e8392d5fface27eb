"""The values of checkpoint=, which parameters of a run a command uses."""

from pathlib import Path

from exp.errors import ConfigError

CHECKPOINTS = ("last", "best", "auto")  # auto: that of these two that the final metrics are of


def check_checkpoint(which: str) -> None:
    """Raise ConfigError unless `which` is last, best, auto or a .pt file that exists."""
    if is_checkpoint_file(which):
        if not Path(which).is_file():
            raise ConfigError(f"checkpoint={which}: file not found", "checkpoint=last, or a .pt file of the run")
    elif which not in CHECKPOINTS:
        raise ConfigError(
            f"checkpoint={which}: unknown checkpoint '{which}' (available: {', '.join(CHECKPOINTS)})", "checkpoint=last"
        )


def is_checkpoint_file(which: str) -> bool:
    """Return whether `which` names a file rather than one of the checkpoints of a run."""
    return which.endswith(".pt")
