"""Make the learning rate scheduler of a run."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from exp.config.instantiate import instantiate
from exp.config.schema import Config
from exp.data.batches import Batches
from exp.errors import ConfigError
from exp.training.plan import Plan


def make_scheduler(
    config: Config, optimizer: Optimizer, batches: Batches, has_validation: bool = True
) -> LRScheduler | None:
    """Return the learning rate scheduler; None for a constant rate.

    T_max=null and total_steps=null are the length of the run.

    Raises:
        ConfigError: The scheduler cannot be made, or does not fit the run.
    """
    node = config.scheduler
    if node.get("_target_") is None:
        return None
    every = node.get("every", "epoch")
    length = config.epochs * (batches.steps_per_epoch if every == "step" else 1)
    node = {**node, **{key: length for key in ("T_max", "total_steps") if key in node and node[key] is None}}
    if "max_lr" in node and len(optimizer.param_groups) > 1:  # a single number would be that of all groups
        rate = optimizer.defaults["lr"]
        node["max_lr"] = [node["max_lr"] * group["lr"] / rate for group in optimizer.param_groups]
    if node.get("pct_start", 0.0) * node.get("total_steps", 0) == 1:  # OneCycleLR would divide by zero
        raise ConfigError(
            f"scheduler.pct_start={node['pct_start']}: the growing part is one of the {node['total_steps']} updates of "
            "the learning rate, which would begin at its top",
            "scheduler.pct_start=0, or a longer run",
            key="scheduler.pct_start",
            override="scheduler.pct_start=0",
        )
    scheduler: LRScheduler = instantiate("scheduler", node, optimizer=optimizer)
    if isinstance(scheduler, ReduceLROnPlateau) and not has_validation:
        raise ConfigError("scheduler: ReduceLROnPlateau needs validation rows, and there are none", "scheduler=cosine")
    if isinstance(scheduler, ReduceLROnPlateau) and every != "evaluation":
        raise ConfigError(
            f"scheduler.every={every}: ReduceLROnPlateau steps after each evaluation",
            "scheduler.every=evaluation",
        )
    return scheduler


def check_schedule_length(config: Config, scheduler: LRScheduler | None, plan: Plan) -> None:
    """Raise ConfigError if a schedule of a fixed length, which torch does not step further, is shorter than the run."""
    if not isinstance(scheduler, OneCycleLR) or plan.schedule is None:
        return
    updates = plan.steps // plan.schedule
    if updates > scheduler.total_steps:
        given = config.scheduler.get("total_steps")
        length = f"scheduler.total_steps={updates}"
        raise ConfigError(
            f"scheduler{f'.total_steps={given}' if given else ''}: the schedule ends after {scheduler.total_steps:,} "
            f"updates of the learning rate, and the run has {updates:,}",
            length if given else f"{length} in place of scheduler.epochs and scheduler.steps_per_epoch",
            key="scheduler.total_steps" if given else "scheduler",
            override=length if given else "",
        )
