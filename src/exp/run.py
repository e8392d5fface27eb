"""One run, from top to bottom. Read this first."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exp.config.schema import Config
from exp.data.batches import Position
from exp.errors import CheckpointError, ConfigError, DataError, Diverged, Pruned
from exp.results import checkpoints, metrics_csv, summary
from exp.results.checkpoints import Checkpoints
from exp.results.console import Terminal
from exp.results.lock import claimed
from exp.results.summary import Summary
from exp.results.tensorboard import TensorBoard
from exp.training.build import Experiment, build
from exp.training.description import described
from exp.training.events import Ending, Evaluated, Event, Judge, Noted, Sink
from exp.training.interrupts import signals
from exp.training.loop import train
from exp.training.preflight import findings
from exp.training.reuse import Shelf


def run(
    config: Config,
    folder: Path,
    text: str,
    choices: Mapping[str, str],
    overrides: list[str],
    shelf: Shelf | None = None,
    hopeless: Judge | None = None,
) -> None:
    """Make the run that `config` describes, and leave all that came out in `folder`.

    For the record: `text` is the config as YAML, `choices` the option taken of each group, `overrides` what was typed.
    A `shelf` is what it shares with the other runs of a sweep's process; such a run leaves the terminal to the sweep.
    Pruned once `hopeless` says so of an evaluation.
    """
    at = Position(0, 0, 0)
    sinks: list[Sink] = []
    with claimed(folder), signals() as asked_to_stop, closing(sinks):
        if (folder / summary.NAME).exists() and config.resume is None:
            raise ConfigError(f"{folder} holds a run already, and two would mix", "hydra.run.dir=ANOTHER_FOLDER")
        earlier = summary.read(folder)
        since, damaged = checkpoints.newest(folder) if config.resume is not None else (None, [])
        # What goes on is built first, so that a failure leaves the folder of a run that was well as it is.
        experiment = goes_on(build(config, shelf), since) if since is not None else None
        sinks.append(Summary(folder, {**earlier, "choices": dict(choices), "overrides": overrides}))
        sinks.append(Terminal(folder, quiet=shelf is not None))
        step = since["progress"]["step"] if since is not None else None
        experiment = experiment or build(config, shelf)
        sinks.append(metrics_csv.Table(folder, step))
        sinks.append(TensorBoard(folder, text, step))
        sinks.append(Checkpoints(folder))
        built = described(config, experiment, choices, overrides)
        tell(sinks, built)
        for problem in damaged:
            tell(sinks, Noted(at, f"{problem}; the one before it is used"))
        for lost in losses_of(folder, step, experiment):
            tell(sinks, Noted(at, lost))
        for change in changes(earlier.get("environment", {}), built.facts["environment"]):
            tell(sinks, Noted(at, f"{change}: from here on, bits may differ from those of an undisturbed run"))
        for note in experiment.data.notes if since is None else ():
            tell(sinks, Noted(at, note))
        if config.preflight == "on" and since is None:
            standardized = bool(config.dataset.get("standardize"))
            for warning in findings(experiment.learner, experiment.data, standardized):
                tell(sinks, Noted(at, warning))
        for event in train(
            experiment.learner, experiment.batches, experiment.data, experiment.plan, since, asked_to_stop
        ):
            tell(sinks, event)
            if isinstance(event, Evaluated) and event.split == "val":
                at = event.at
                under_way = at.step < experiment.plan.steps
                if under_way and hopeless is not None and hopeless(at.epoch, event.measures.values()):
                    tell(sinks, Noted(at, "pruned: the search has no hope for this run"))
                    raise Pruned
        if config.figures in (True, "auto"):
            from exp.reports import run_report

            for told in run_report.made(folder, experiment, at):
                tell(sinks, told)
                if asked_to_stop():
                    tell(sinks, Noted(at, f"stopped while it drew; the rest: python -m exp.report run={folder}"))
                    break


def goes_on(experiment: Experiment, since: Mapping[str, Any]) -> Experiment:
    """The experiment, if its rows are those of the checkpoint `since`. DataError if not."""
    if since["data"] != experiment.data.fingerprint:
        raise DataError("the rows are not those that the run was trained on until now", "the rows as they were")
    return experiment


def losses_of(folder: Path, step: int | None, experiment: Experiment) -> Iterator[str]:
    """What of a resumed run's first part is no longer whole, though the checkpoint is."""
    if step is None:
        return
    best = folder / checkpoints.FOLDER / checkpoints.BEST
    try:
        checkpoints.read(best)
    except CheckpointError as error:
        yield f"{error.problem}; a new one is written only where the validation loss gets lower still"
    last = max((row[0] for row in metrics_csv.rows(folder)), default=0)
    if step - last >= max(experiment.plan.log, experiment.plan.evaluate):
        end = f"{folder}/{metrics_csv.NAME} ends at step {last:,}"
        yield f"{end}: what was measured from there to step {step:,} is lost"


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What numbers depend on that is not as it was in the run's first part."""
    for key in ("cpu", "python", "torch", "numpy", "scikit-learn", "threads", "device", "gpu", "commit"):
        if key in then and then[key] != now[key]:
            yield f"{key} was {then[key]} and is {now[key]}"


def tell(sinks: list[Sink], event: Event) -> None:
    for sink in sinks:
        sink.handle(event)


@contextmanager
def closing(sinks: list[Sink]) -> Generator[None]:
    """Close every sink, the last opened first, however the run ends; one that cannot close makes it a failed run."""
    ending = Ending("finished")
    try:
        yield
    except KeyboardInterrupt:
        ending = Ending("interrupted")
        raise
    except Diverged as error:
        ending = Ending("diverged", str(error))
        raise
    except Pruned:
        ending = Ending("pruned")
        raise
    except BaseException as error:
        ending = Ending("failed", str(error) or type(error).__name__)
        raise
    finally:
        failure: BaseException | None = None
        for sink in reversed(sinks):
            try:
                sink.close(ending)
            except BaseException as error:  # a second Ctrl-C, too, leaves no file open
                failure = failure or error
                if ending.status == "finished" and not isinstance(error, KeyboardInterrupt):
                    ending = Ending("failed", str(error))
        if failure is not None and ending.status in ("finished", "failed"):
            raise failure
