"""What came out of a run or a sweep, on one page: `python -m exp.report run=FOLDER` writes FOLDER/report.html.

A run that finishes writes it by itself, and its pictures, unless `figures=false`. The page is one file, which asks
nothing of a network.
"""

from collections.abc import Iterator
from pathlib import Path

from exp import figures, page, record, run_page
from exp.build import Experiment
from exp.claim import claimed
from exp.errors import ExpError
from exp.events import Drawn, Noted, Position
from exp.resuming import refuse_no_run
from exp.sinks import table
from exp.strangers import refuse_links
from exp.sweeps import report as of_sweep
from exp.sweeps import table as sweep_table
from exp.trained import load
from exp.words import command

_KNOWN = {"run": True}


def made(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    """Draw the pictures of the run that finished in `folder`, and write its page.

    What cannot be drawn or written does not undo a run that was trained.
    """
    yield from drawn(folder, experiment, at)
    try:
        run_page.write(folder, experiment, "finished")
    except Exception as error:
        yield Noted(at, f"{page.NAME} could not be written: {error}")


def drawn(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    learner = experiment.learner
    for name, draw in figures.pictures(folder / table.NAME, experiment.data, experiment.objective, learner.predict):
        path = folder / "figures" / f"{name}.png"
        try:
            yield Drawn(at, name, path, *figures.save(draw(), path))
        except Exception as error:
            yield Noted(at, f"figures/{name}.png could not be drawn: {error}")


def report(run: str) -> None:
    """Write the page of that run or sweep anew, with pictures under the parameters of its last checkpoint.

    Where there is no checkpoint, or the rows are not to be had, it tells what the files do. It puts no such page in the
    place of a whole one: then that is an ExpError.
    """
    folder = Path(run)
    refuse_links(folder)
    if (folder / sweep_table.NAME).is_file():
        of_sweep.write(folder, list(sweep_table.rows(folder).values()))
        print(folder / page.NAME)
        return
    refuse_no_run(folder)
    with claimed(folder):
        experiment, missing = None, ""
        try:
            experiment = load(folder).experiment
        except ExpError as error:
            if (folder / page.NAME).exists():
                raise
            missing = str(error)
            print(f"without what the model would tell: {error}")
        if experiment is not None:
            for told in drawn(folder, experiment, Position(0, 0, 0)):
                if isinstance(told, Noted):
                    print(told.text)
        elif len(list(table.rows(folder))) > 1:
            figures.save(figures.learning_curves(folder / table.NAME), folder / "figures" / "learning_curves.png")
        run_page.write(folder, experiment, record.read(folder).get("status", "not begun"), missing)
    print(folder / page.NAME)


if __name__ == "__main__":
    command("report", __doc__, _KNOWN, "python -m exp.report run=FOLDER", report)
