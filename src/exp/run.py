"""One run, from top to bottom. Read this first."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain

from exp.config.run_spec import RunSpec
from exp.data.batches import Position
from exp.errors import Pruned
from exp.results import about
from exp.results.checkpoints import CheckpointSink
from exp.results.console import ConsoleSink
from exp.results.initial import describe_initial
from exp.results.lock import folder_lock
from exp.results.metrics_csv import MetricsCsvSink
from exp.results.predictions_csv import PredictionsCsvSink
from exp.results.previous_run import PreviousRun
from exp.results.run_folder import report_command
from exp.results.summary import SummarySink
from exp.results.tensorboard import TensorBoardSink
from exp.results.terminal import preparation_progress
from exp.trackers.sink import TrackerSink
from exp.training.baseline import compare_with_baseline
from exp.training.build import Experiment, build
from exp.training.choices import list_undecided, list_unused
from exp.training.curves import evaluations_of
from exp.training.description import describe
from exp.training.devices import list_extra_threads
from exp.training.events import Built, Drawn, Evaluated, Event, Noted, Predicted, Resumed
from exp.training.import_gc import late_imports
from exp.training.initial import initial_notes
from exp.training.interrupts import graceful_stop
from exp.training.loop import Training
from exp.training.metrics import MetricSums
from exp.training.predictions import predict_fold
from exp.training.preflight import find_problems
from exp.training.pruning import PruningCallback
from exp.training.reuse import JobCache
from exp.training.sink_group import SinkGroup

_START = Position(0, 0, 0)


def run(
    spec: RunSpec,
    cache: JobCache | None = None,
    should_prune: PruningCallback | None = None,
    quiet: bool = False,
) -> None:
    """Train one run and write its results to `spec.folder`.

    Args:
        spec: What to run, and where to write it.
        cache: What the jobs of a worker process share.
        should_prune: Called after each validation before the last step; the run ends if it returns True.
        quiet: Print nothing; exp.log is complete.

    Raises:
        ExpError: The run cannot be built, resumed or trained.
        Pruned: `should_prune` returned True.
        KeyboardInterrupt: The run was stopped; its state is saved.
    """
    with folder_lock(spec.folder), graceful_stop() as stop_requested, SinkGroup() as sinks:
        previous = PreviousRun.read(spec)
        events: Iterator[Event] = iter(())
        experiment: Experiment | None = None
        if is_resumed := spec.config.resume is not None:
            with stop_requested.at_once(), preparation_progress(quiet) as on_progress:
                experiment = previous.rebuild(spec.config, cache, on_progress)
            events = _after_first_step(_events(spec, experiment, previous, stop_requested, should_prune))
        words = about.with_words(previous.summary, spec.config.name, spec.config.notes)
        known = {**previous.summary, **words, "choices": dict(spec.choices), "overrides": spec.overrides}
        if previous.initial is not None:
            known["init"] = describe_initial(previous.initial)
        sinks.open(SummarySink(spec.folder, known))
        sinks.open(ConsoleSink(spec.folder, quiet))
        if not is_resumed:  # after summary.json, which tells if it cannot be built
            with stop_requested.at_once(), preparation_progress(quiet) as on_progress:
                experiment = build(spec.config, cache, previous.initial, on_progress)
            events = _events(spec, experiment, previous, stop_requested, should_prune)
        assert experiment is not None
        sinks.open(metrics := MetricsCsvSink(spec.folder, previous.step))
        sinks.open(tensorboard := TensorBoardSink(spec.folder, spec.config_yaml, previous.step))
        sinks.open(PredictionsCsvSink(spec.folder))
        sinks.open(CheckpointSink(spec.folder, previous.initial, [metrics.file, tensorboard.file]))
        if spec.config.tracker["_target_"] is not None:  # last: it is closed first, and may still warn
            sinks.open(TrackerSink(spec, about.read_tags(known), previous.step, sinks.handle, experiment))
        for event in events:
            sinks.handle(event)


def _after_first_step(events: Iterator[Event]) -> Iterator[Event]:
    """Return all of `events`, once training has yielded the first one. A resume that fails writes nothing."""
    first: list[Event] = []
    for event in events:
        first.append(event)
        if not isinstance(event, Built | Noted | Resumed):
            break
    return chain(first, events)


def _events(
    spec: RunSpec,
    experiment: Experiment,
    previous: PreviousRun,
    stop_requested: Callable[[], bool],
    should_prune: PruningCallback | None,
) -> Iterator[Event]:
    """Yield everything that happens in a run, in order: description, notes, training, figures."""
    built = describe(spec, experiment)
    yield built
    yield from _notes(previous.moved_files(spec.overrides))
    yield from _notes(previous.warnings(experiment, built.facts["environment"]))
    if previous.checkpoint is None:
        yield from _notes(experiment.data.notes)
        yield from _notes(list_extra_threads(spec.config.threads))
        yield from _notes(list_unused(spec.config, experiment.config, spec.overrides))
        if not len(experiment.data.val):
            yield from _notes(list_undecided(spec.config, spec.overrides))
        if previous.initial is not None:
            yield from _notes(initial_notes(previous.initial, experiment.data))
        if spec.config.preflight == "on":
            is_scaled = spec.config.dataset.get("scaler", "none") != "none"
            yield from _notes(find_problems(experiment.learner, experiment.data, is_scaled))
    learner, batches, data, plan = experiment.learner, experiment.batches, experiment.data, experiment.plan
    if should_prune is not None or spec.config.tracker["_target_"] is not None:  # they may look at the model after each
        plan = replace(plan, evaluations_per_call=1)
    training = Training(learner, batches, data, plan, previous.checkpoint, stop_requested)
    end, final = _START, dict[str, MetricSums]()
    for event in _until_pruned(training, plan.steps, should_prune):
        yield event
        for evaluated in evaluations_of(event):
            final[evaluated.split] = evaluated.metrics
            end = end if evaluated.restored else evaluated.at
    yield from compare_with_baseline(experiment.objective, data, final, end, plan.restore_best)
    if spec.config.fold is not None:
        yield Predicted(end, predict_fold(experiment))
    if spec.config.figures in (True, "auto"):
        yield from _report(spec, experiment, end, stop_requested)


def _notes(texts: Iterable[str]) -> Iterator[Noted]:
    """Yield each text as a note before the first step."""
    return (Noted(_START, text) for text in texts)


def _until_pruned(events: Iterable[Event], steps: int, should_prune: PruningCallback | None) -> Iterator[Event]:
    """Yield `events`; raise Pruned after a validation before step `steps` for which `should_prune` returns True."""
    for event in events:
        yield event
        if should_prune is None or not isinstance(event, Evaluated) or event.split != "val" or event.restored:
            continue
        if event.at.step == steps:
            continue
        if should_prune(event.at.epoch, event.values):
            yield Noted(event.at, "pruned: the search stopped this run")
            raise Pruned


def _report(
    spec: RunSpec, experiment: Experiment, end: Position, stop_requested: Callable[[], bool]
) -> Iterator[Drawn | Noted]:
    """Draw the figures and write the report, until a stop is requested."""
    with late_imports():
        from exp.reports import run_report  # lazy: imports matplotlib

    for event in run_report.write_report(spec.folder, experiment, end):
        yield event
        if stop_requested():
            yield Noted(end, f"stopped while drawing figures; to draw the rest: {report_command(spec.folder)}")
            return
