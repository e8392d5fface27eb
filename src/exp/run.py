"""One run, from top to bottom. Read this first."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exp.config.schema import Config
from exp.data.batches import Position
from exp.errors import CheckpointError, ConfigError, DataError, Diverged, Pruned
from exp.results import checkpoints, metrics_csv, summary
from exp.results.checkpoints import CheckpointSink
from exp.results.console import ConsoleSink
from exp.results.lock import folder_lock
from exp.results.summary import SummarySink
from exp.results.tensorboard import TensorBoardSink
from exp.training.build import Experiment, build
from exp.training.description import describe
from exp.training.events import Ending, Evaluated, Event, Noted, PruningCallback, Sink
from exp.training.interrupts import graceful_stop
from exp.training.loop import train
from exp.training.preflight import find_problems
from exp.training.reuse import JobCache


def run(
    config: Config,
    folder: Path,
    text: str,
    choices: Mapping[str, str],
    overrides: list[str],
    cache: JobCache | None = None,
    should_prune: PruningCallback | None = None,
) -> None:
    """Make the run that `config` describes, and leave all that came out in `folder`.

    For the record: `text` is the config as YAML, `choices` the option taken of each group, `overrides` what was typed.
    A `shelf` is what it shares with the other runs of a sweep's process; such a run leaves the terminal to the sweep.
    Pruned once `hopeless` says so of an evaluation.
    """
    at = Position(0, 0, 0)
    sinks: list[Sink] = []
    with folder_lock(folder), graceful_stop() as asked_to_stop, closing(sinks):
        if (folder / summary.NAME).exists() and config.resume is None:
            raise ConfigError(f"{folder} holds a run already, and two would mix", "hydra.run.dir=ANOTHER_FOLDER")
        earlier = summary.read(folder)
        checkpoint, damaged = checkpoints.newest(folder) if config.resume is not None else (None, [])
        # What goes on is built first, so that a failure leaves the folder of a run that was well as it is.
        experiment = check_same_data(build(config, cache), checkpoint) if checkpoint is not None else None
        sinks.append(SummarySink(folder, {**earlier, "choices": dict(choices), "overrides": overrides}))
        sinks.append(ConsoleSink(folder, quiet=cache is not None))
        step = checkpoint["progress"]["step"] if checkpoint is not None else None
        experiment = experiment or build(config, cache)
        sinks.append(metrics_csv.MetricsCsvSink(folder, step))
        sinks.append(TensorBoardSink(folder, text, step))
        sinks.append(CheckpointSink(folder))
        built = describe(config, experiment, choices, overrides)
        handle(sinks, built)
        for problem in damaged:
            handle(sinks, Noted(at, f"{problem}; the one before it is used"))
        for lost in missing_results(folder, step, experiment):
            handle(sinks, Noted(at, lost))
        for change in environment_changes(earlier.get("environment", {}), built.facts["environment"]):
            handle(sinks, Noted(at, f"{change}: from here on, bits may differ from those of an undisturbed run"))
        for note in experiment.data.notes if checkpoint is None else ():
            handle(sinks, Noted(at, note))
        if config.preflight == "on" and checkpoint is None:
            standardized = bool(config.dataset.get("standardize"))
            for warning in find_problems(experiment.learner, experiment.data, standardized):
                handle(sinks, Noted(at, warning))
        for event in train(
            experiment.learner, experiment.batches, experiment.data, experiment.plan, checkpoint, asked_to_stop
        ):
            handle(sinks, event)
            if isinstance(event, Evaluated) and event.split == "val":
                at = event.at
                under_way = at.step < experiment.plan.steps
                if under_way and should_prune is not None and should_prune(at.epoch, event.metrics.values()):
                    handle(sinks, Noted(at, "pruned: the search has no hope for this run"))
                    raise Pruned
        if config.figures in (True, "auto"):
            from exp.reports import run_report

            for told in run_report.write_report(folder, experiment, at):
                handle(sinks, told)
                if asked_to_stop():
                    handle(sinks, Noted(at, f"stopped while it drew; the rest: python -m exp.report run={folder}"))
                    break


def check_same_data(experiment: Experiment, since: Mapping[str, Any]) -> Experiment:
    """The experiment, if its rows are those of the checkpoint `since`. DataError if not."""
    if since["data"] != experiment.data.fingerprint:
        raise DataError("the rows are not those that the run was trained on until now", "the rows as they were")
    return experiment


def missing_results(folder: Path, step: int | None, experiment: Experiment) -> Iterator[str]:
    """What of a resumed run's first part is no longer whole, though the checkpoint is."""
    if step is None:
        return
    best = folder / checkpoints.FOLDER / checkpoints.BEST
    try:
        checkpoints.read(best)
    except CheckpointError as error:
        yield f"{error.problem}; a new one is written only where the validation loss gets lower still"
    last = max((row[0] for row in metrics_csv.read_rows(folder)), default=0)
    if step - last >= max(experiment.plan.log, experiment.plan.evaluate):
        end = f"{folder}/{metrics_csv.NAME} ends at step {last:,}"
        yield f"{end}: what was measured from there to step {step:,} is lost"


def environment_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What numbers depend on that is not as it was in the run's first part."""
    for key in ("cpu", "python", "torch", "numpy", "scikit-learn", "threads", "device", "gpu", "commit"):
        if key in then and then[key] != now[key]:
            yield f"{key} was {then[key]} and is {now[key]}"


def handle(sinks: list[Sink], event: Event) -> None:
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
