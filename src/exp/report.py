"""What came out of a run or a sweep, on one page: `python -m exp.report run=FOLDER` writes FOLDER/report.html.

A run that finishes writes it by itself, and its pictures, unless `figures=false`. The page is one file, which asks
nothing of a network.
"""

import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from exp import page, record
from exp.build import Experiment
from exp.claim import claimed
from exp.description import described
from exp.errors import ExpError, many
from exp.events import Drawn, Noted, Position
from exp.figures import pictures, save
from exp.intervals import Interval, intervals
from exp.page import Html, chapter, element, folded
from exp.resuming import refuse_no_run
from exp.scores import by_class, confusion
from exp.sinks import table
from exp.sweeps import report as of_sweep
from exp.sweeps import table as sweep_table
from exp.sweeps.answer import figure
from exp.trained import load
from exp.words import command
from exp.worst import most_wrong

NAME = "report.html"
_KNOWN = {"run": True}
# More classes than these in a table, more of a log than that, are no reading matter.
_MOST_CLASSES = 50
_MOST_LOG = 100_000


def made(folder: Path, lines: Mapping[str, str], experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    """Draw the pictures of the run that finished in `folder`, and write its page.

    What cannot be drawn or written does not undo a run that was trained.
    """
    yield from drawn(folder, experiment, at)
    try:
        write(folder, lines, experiment, "finished")
    except Exception as error:
        yield Noted(at, f"{NAME} could not be written: {error}")


def drawn(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    for name, draw in pictures(folder / table.NAME, experiment.data, experiment.objective, experiment.learner.predict):
        path = folder / "figures" / f"{name}.png"
        try:
            yield Drawn(at, name, path, *save(draw(), path))
        except Exception as error:
            yield Noted(at, f"figures/{name}.png could not be drawn: {error}")


def write(folder: Path, lines: Mapping[str, str], experiment: Experiment | None, status: str) -> None:
    """The page of the run in `folder`: `lines` tell what was composed, `status` how it ended.

    With the pictures that are there; and without the `experiment`, as it was at the run's end, with what files tell.
    """
    summary = record.read(folder)
    overrides: list[str] = summary.get("overrides", [])
    choices: dict[str, str] = summary.get("choices", {})
    parts = [
        element("p", element("code", f"python -m exp {shlex.join(overrides)}")),
        chapter("What was run", page.table((), list(lines.items()))),
    ]
    if experiment is not None:
        parts.append(_measures(folder, experiment))
    if paths := page.pictures(folder / "figures"):
        parts.append(chapter("Pictures", *paths))
    if experiment is not None:
        if experiment.data.classes is not None and len(experiment.data.classes) <= _MOST_CLASSES:
            parts.append(_classes(experiment, experiment.data.classes))
        parts.append(_worst(experiment))
    files = {
        "config": _read(folder / ".hydra" / "config.yaml"),
        "log": _read(folder / "exp.log"),
        "machine": record.machine(folder),
    }
    parts.append(chapter("The whole of it", *(folded(name, text) for name, text in files.items())))
    name = f"{choices.get('dataset', 'run')}, {choices.get('model', 'no model')}: {status}"
    page.write(folder / NAME, name, element("p", str(folder), class_="quiet"), *parts)


def _measures(folder: Path, experiment: Experiment) -> Html:
    """Each split's measures under the parameters as they are, and how sure they are."""
    data, objective, predict = experiment.data, experiment.objective, experiment.learner.predict
    names = ("loss", *objective.measures)
    splits = data.splits if data.train is not data.val else {"all rows": data.train}
    told: list[tuple[str, ...]] = []
    for name, split in splits.items():
        values, sure = experiment.learner.evaluate(split).values(), intervals(split, objective, predict)
        cells = (_with_interval(measure, values.get(measure), sure.get(measure)) for measure in names)
        told.append((name, *cells, f"{len(split):,}"))
    step, seconds, best = 0, 0.0, (math.inf, 0)
    for step, seconds, split, measures in table.rows(folder):  # noqa: B007
        if split == "val":
            best = min(best, (measures["loss"], step))
    made = (
        f"{many(step, 'step')} in {seconds:.3g} s; the lowest validation loss was {best[0]:.4g}, at step {best[1]:,}."
    )
    sure = "In brackets the 95 % confidence interval, had other rows of the same kind been taken."
    return chapter("Measures", page.table(("", *names, "rows"), told), element("p", f"{made} {sure}", class_="quiet"))


def _with_interval(name: str, value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return "" if value is None else figure(name, value)
    low, high = (figure(name, end).removesuffix(" %") for end in interval)
    return f"{figure(name, value)} [{low}, {high}]"


def _classes(experiment: Experiment, classes: tuple[str, ...]) -> Html:
    counts = confusion(experiment.data.test, len(classes), experiment.objective, experiment.learner.predict)
    told: list[tuple[str, ...]] = []
    for one in by_class(classes, counts):
        shares = ("" if math.isnan(share) else f"{100 * share:.1f} %" for share in (one.precision, one.recall, one.f1))
        told.append((one.name, *shares, f"{one.rows:,}"))
    return chapter("Each class, on the test rows", page.table(("", "precision", "recall", "F1", "rows"), told))


def _worst(experiment: Experiment) -> Html:
    data = experiment.data
    how, told = most_wrong(data.test, data, experiment.objective, experiment.learner.predict)
    rows = [(f"{one.number:,}", one.true, one.predicted, one.how, one.unusual) for one in told]
    head = ("row", "true", "predicted", how, "unusual about it")
    note = "Rows are counted from 1, as they stand in the dataset; what is unusual is so beside the training rows."
    return chapter("The test rows it is most wrong about", page.table(head, rows), element("p", note, class_="quiet"))


def _read(path: Path) -> str:
    """The text there, without the middle of a long one; none if there is no such file."""
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text if len(text) < _MOST_LOG else f"{text[: _MOST_LOG // 2]}\n...\n{text[-_MOST_LOG // 2 :]}"


def report(run: str) -> None:
    """Write the page of that run or sweep anew, with pictures under the parameters of its last checkpoint."""
    folder = Path(run)
    if (folder / sweep_table.NAME).is_file():
        of_sweep.write(folder, list(sweep_table.rows(folder).values()))
        print(folder / NAME)
        return
    refuse_no_run(folder)
    with claimed(folder):
        summary = record.read(folder)
        experiment, lines = None, {}
        try:
            trained = load(folder)
            experiment = trained.experiment
            machine = summary.get("environment")
            lines = described(trained.config, experiment, summary["choices"], summary["overrides"], machine).lines
            for told in drawn(folder, experiment, Position(0, 0, 0)):
                if isinstance(told, Noted):
                    print(told.text)
        except ExpError as error:  # there is no checkpoint, or the rows are no longer there
            print(f"without what the trained model would tell: {error.problem}")
        write(folder, lines, experiment, summary.get("status", "not begun"))
    print(folder / NAME)


if __name__ == "__main__":
    command("report", __doc__, _KNOWN, "python -m exp.report run=FOLDER", report)
