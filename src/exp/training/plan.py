"""How often: a knob such as `log_every` as a number of steps."""

from dataclasses import dataclass

from exp.config.constraints import CADENCE
from exp.config.schema import Config
from exp.data.batches import Batches


@dataclass(frozen=True)
class Plan:
    """How long, and what happens every so many steps; what is due every n steps is due at the last step too."""

    steps: int
    log: int
    evaluate: int
    save: int
    schedule: int | None = None
    patience: int | None = None  # evaluations without a validation loss lower by min_delta, after which training stops
    min_delta: float = 0.0
    watch: bool = False  # at every evaluation
    min_seconds_between_saves: float = (
        0.0  # seconds between two saves at least, whatever is due; the end is saved in any case
    )
    max_steps_per_call: int = (
        256  # steps at a time, so that neither memory nor patience grows with the time between two events
    )

    def due(self, period: int | None, step: int) -> bool:
        return period is not None and (step % period == 0 or step == self.steps)

    def stop_after(self, step: int) -> int:
        """The step after `step` at which training has to stop: something is due, or a multiple of `longest`.

        Where it stops does not depend on where it began, so a resumed run adds up the same sums in the same order.
        """
        periods = [
            period
            for period in (self.evaluate, self.save, self.schedule, self.max_steps_per_call)
            if period is not None
        ]
        return min(self.steps, *(step - step % period + period for period in periods))

    def logged_between(self, step: int, stop: int) -> list[int]:
        """The steps after `step` at which a log is due, and `stop`: where the steps between them are divided."""
        return [*range(step - step % self.log + self.log, stop, self.log), stop]


# Seconds of training that may be lost before a save costs more than it is good for.
_MIN_SECONDS_BETWEEN_SAVES = 1.0


# How much of the same the steps between two looks at their losses may add up to. What they keep is little, but lies
# among the large tensors of their neighbours, whose memory then cannot be used again: 300 MB for three wide layers.
MAX_WORK_PER_CALL = 2**28


def make_plan(config: Config, batches: Batches, longest: int) -> Plan:
    """The cadences in steps. By default 1,000 logged points a run at most, 250 evaluations, one an epoch, ten saves."""
    per_epoch = batches.steps_per_epoch
    steps = config.epochs * per_epoch
    evaluate = parse_cadence(config.eval_every, per_epoch, per_epoch * period_for(config.epochs, 250))
    every = config.scheduler.get("every", "epoch") if config.scheduler.get("_target_") else None
    return Plan(
        steps=steps,
        log=parse_cadence(config.log_every, per_epoch, period_for(steps)),
        evaluate=evaluate,
        save=parse_cadence(config.save_every, per_epoch, period_for(steps, 10)),
        min_seconds_between_saves=_MIN_SECONDS_BETWEEN_SAVES if config.save_every == "auto" else 0.0,
        schedule={None: None, "step": 1, "epoch": per_epoch, "evaluation": evaluate}[every],
        patience=config.early_stopping.patience,
        min_delta=config.early_stopping.min_delta,
        watch=config.watch,
        max_steps_per_call=longest,
    )


def parse_cadence(knob: str, steps_per_epoch: int, auto: int) -> int:
    """The number of steps that "auto", "100", "100 steps" or "2 epochs" means."""
    match = CADENCE.fullmatch(knob)
    assert match is not None  # check() refused everything else
    if knob == "auto":
        return auto
    return int(match[1]) * (steps_per_epoch if (match[2] or "").startswith("epoch") else 1)


def period_for(total: int, points: int = 1000) -> int:
    """The smallest period at which `total` gives at most `points` points."""
    return max(1, -(-total // points))
