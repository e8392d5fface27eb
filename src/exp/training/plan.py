"""Plan: after how many steps to log, evaluate, save and stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exp.config.constraints import CADENCE
from exp.config.metric_names import chosen_metrics, is_higher_better
from exp.config.own_metrics import is_own
from exp.config.schema import Config
from exp.config.user_code import has_user_code
from exp.data.batches import Batches
from exp.errors import ConfigError

# Steps of a call that makes a part of a long logging window; more would delay a stop request.
_MAX_STEPS_OF_CUT_WINDOWS = 256


@dataclass(frozen=True)
class Plan:
    """The length of a run, and the periods of what happens during it, in steps.

    Args:
        steps: Number of updates in all.
        log, evaluate, save, schedule: Periods; `schedule` None: the learning rate is constant.
        metric: The metric of the validation rows that decides which parameters are the best.
        patience: Evaluations in which that metric does not improve by `min_delta` before training stops.
        restore_best: Whether the run ends with the best parameters.
        on_tie: Which of evaluations with an equal metric is the best, `first` or `last`.
        watch: Whether every evaluation also yields histograms.
        min_seconds_between_saves: Saves that are due earlier are skipped, except at the end.
        max_steps_per_call: Limits the memory for the results of one call.
        evaluations_per_call: Limits the memory for the results of evaluations before the end of a call. With 1, each
            evaluation ends a call, and the next steps may depend on what is done about it.
    """

    steps: int
    log: int
    evaluate: int
    save: int
    metric: str = "loss"
    schedule: int | None = None
    patience: int | None = None
    min_delta: float = 0.0
    restore_best: bool = False
    on_tie: str = "first"
    watch: bool = False
    min_seconds_between_saves: float = 0.0
    max_steps_per_call: int = 1024
    evaluations_per_call: int = 1

    @property
    def best(self) -> str:
        """What the best parameters have, for people."""
        return f"the {'highest' if is_higher_better(self.metric) else 'lowest'} validation {self.metric}"

    def is_due(self, period: int, step: int) -> bool:
        """Return whether something with this period is due at `step`; everything is due at the last step."""
        return step % period == 0 or step == self.steps

    def next_pause(self, step: int, wanted: int, save_from: int = 0) -> int:
        """Return where a call that begins after `step` ends: at a step at which something is due, or earlier.

        Earlier is after `wanted` steps or fewer, but a logging window that one call can make is not cut. So whatever is
        wanted, and wherever training started, the sums of each window are added up in the same order.

        Args:
            save_from: A step before which the last save is not long enough ago for another one.
        """
        unit = min(self.log, _MAX_STEPS_OF_CUT_WINDOWS, self.max_steps_per_call)
        units = max(1, min(wanted, self.max_steps_per_call) // unit) if unit == self.log else 1
        evaluations = max(1, min(wanted // self.evaluate, self.evaluations_per_call))
        evaluation = (step // self.evaluate + evaluations) * self.evaluate
        save = -(-max(step + 1, save_from) // self.save) * self.save
        schedule = self.steps if self.schedule is None else (step // self.schedule + 1) * self.schedule
        return min(self.steps, (step // unit + units) * unit, evaluation, save, schedule)

    def due_before(self, period: int, step: int, stop: int) -> Sequence[int]:
        """Return the steps after `step` and before `stop` at which something with this period is due."""
        return range(step - step % period + period, stop, period)

    def cuts(self, step: int, stop: int) -> list[int]:
        """Return where the logging windows of a call from `step` to `stop` are cut.

        What is due cuts them also where it does not end the call, so the sums are added up in the same order.
        """
        periods = self.log, self.evaluate, self.save
        return sorted({stop}.union(*(self.due_before(period, step, stop) for period in periods)))


# Shorter intervals would cost more time in saving than a crash could lose.
_MIN_SECONDS_BETWEEN_SAVES = 1.0


# Of eval_every=auto.
MAX_EVALUATIONS = 250


# Numbers that the steps of one call may keep until its end, and that its evaluations may: 4 MB.
_MAX_KEPT_PER_CALL = 2**20


def make_plan(config: Config, batches: Batches, outputs: int, kept: int) -> Plan:
    """Convert the cadences of a config into steps.

    `auto` gives at most 1,000 logged points and 10 saves per run, and one evaluation per epoch, at most 250 per run.

    Args:
        outputs: Numbers that the model returns for a row.
        kept: Parameters, and the outputs of all validation rows.

    Raises:
        ConfigError: The first steps would have a learning rate of 0.
    """
    per_epoch = batches.steps_per_epoch
    steps = config.epochs * per_epoch
    evaluate = parse_cadence(config.eval_every, per_epoch, per_epoch * compute_period(config.epochs, MAX_EVALUATIONS))
    every = config.scheduler.get("every", "epoch") if config.scheduler.get("_target_") else None
    schedule = {None: None, "step": 1, "epoch": per_epoch, "evaluation": evaluate}[every]
    _check_first_rate(config.scheduler, schedule)
    # Code of the user's may change in an evaluation what the next steps compute, or draw random numbers between them.
    is_own_code = has_user_code(config) or any(map(is_own, chosen_metrics(config.metrics, config.metric)))
    is_each_awaited = config.early_stopping.patience is not None or config.watch or is_own_code
    return Plan(
        steps=steps,
        log=parse_cadence(config.log_every, per_epoch, compute_period(steps)),
        evaluate=evaluate,
        save=parse_cadence(config.save_every, per_epoch, compute_period(steps, 10)),
        min_seconds_between_saves=_MIN_SECONDS_BETWEEN_SAVES if config.save_every == "auto" else 0.0,
        metric=config.metric,
        schedule=schedule,
        patience=config.early_stopping.patience,
        min_delta=config.early_stopping.min_delta,
        restore_best=config.early_stopping.restore_best,
        on_tie=config.early_stopping.on_tie,
        watch=config.watch,
        max_steps_per_call=max(1, min(1024, _MAX_KEPT_PER_CALL // (batches.size * max(1, outputs)))),
        evaluations_per_call=1 if is_each_awaited else max(1, min(1024, _MAX_KEPT_PER_CALL // max(1, kept))),
    )


# Schedules whose first learning rate is 0.
_START_AT_ZERO = ("exp.schedulers.coslog.CosLog", "exp.schedulers.warmup_cosine.WarmupCosine")


def _check_first_rate(node: Mapping[str, Any], period: int | None) -> None:
    """Raise ConfigError if a schedule with this period in steps keeps its first rate, 0, for more than one step."""
    if period in (None, 1) or node["_target_"] not in _START_AT_ZERO or node.get("warmup") == 0:
        return
    every, name = node.get("every", "epoch"), node["_target_"].rpartition(".")[2]
    raise ConfigError(
        f"scheduler.every={every}: the learning rate of {name} starts at 0, and the first "
        f"{period:,} steps would have it",
        "scheduler.every=step",
        key="scheduler.every",
        override="scheduler.every=step",
    )


def parse_cadence(cadence: str, steps_per_epoch: int, auto: int) -> int:
    """Return the number of steps that "auto", "100", "100 steps" or "2 epochs" stands for."""
    match = CADENCE.fullmatch(cadence)
    assert match is not None  # validate() refuses everything else
    if cadence == "auto":
        return auto
    return int(match[1]) * (steps_per_epoch if (match[2] or "").startswith("epoch") else 1)


def compute_period(total: int, points: int = 1000) -> int:
    """Return the smallest period that divides `total` steps into at most `points` points."""
    return max(1, -(-total // points))
