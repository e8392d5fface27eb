"""`exp report`: what came out of a run or a sweep, or of all below a folder, on one page."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.errors import CheckpointError, ExpError
from exp.reports import index_page
from exp.results.find_runs import find_runs
from exp.results.listing import list_runs
from exp.results.run_folder import MULTIRUN, SWEEP_MANIFEST, SWEEP_TABLE, is_run


@dataclass(frozen=True)
class Page(Answer):
    """The page that was written, and what it lacks."""

    path: Path
    notes: Sequence[str] = ()

    def document(self) -> Mapping[str, Any]:
        return {"report": str(self.path), "notes": list(self.notes)}

    def lines(self) -> Iterator[str]:
        yield from self.notes
        yield str(self.path)


def report(run: str, **moved: str) -> Page:
    """Write the page report.html of a run, a sweep, or a folder of them.

        python -m exp report run=FOLDER

    A finished run writes it by itself, unless figures=false. The page is one file and loads nothing from a network.
    Figures show the parameters that the final metrics are of. Without a checkpoint, or without the rows, the page has
    what the run's files say; it does not replace a page that has more. Of a folder with runs and sweeps below it, the
    page lists them, with links to their own pages.

    Args:
        run: Folder of the run or sweep, or one above several.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    folder = Path(run)
    is_one = is_run(folder) or any((folder / name).is_file() for name in (MULTIRUN, SWEEP_MANIFEST, SWEEP_TABLE))
    if folder.is_dir() and not is_one and next(find_runs(folder), None) is not None:
        listing = list_runs(folder)
        return Page(index_page.write_page(folder, listing), listing.unreadable)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.data.batches import Position
    from exp.reports import figures, run_report, sweep_report
    from exp.reports.run_report import draw_and_save
    from exp.results import metrics_csv, run_folder, summary, sweep_csv
    from exp.results.lock import folder_lock
    from exp.results.run_folder import check_is_run, refuse_links
    from exp.results.trained_model import load_trained
    from exp.training.events import Noted

    refuse_links(folder)
    path = folder / run_folder.REPORT
    if (folder / SWEEP_MANIFEST).is_file() or (folder / SWEEP_TABLE).is_file():
        sweep_report.write_page(folder, list(sweep_csv.read_rows(folder).values()))
        return Page(path)
    check_is_run(folder)
    with folder_lock(folder):
        experiment, missing, notes = None, "", list[str]()
        try:
            experiment = load_trained(folder, moved=moved).experiment
        except ExpError as error:
            if path.exists():
                raise
            missing = error.problem if isinstance(error, CheckpointError) else str(error)  # it takes no other one
            notes.append(f"without the model's results: {missing}")
        if experiment is not None:
            drawn = draw_and_save(folder, experiment, Position(0, 0, 0))
            notes += [event.text for event in drawn if isinstance(event, Noted)]
        elif len(list(metrics_csv.read_rows(folder))) > 1:
            figures.save(figures.learning_curves(folder), folder / run_folder.FIGURES / "learning_curves.png")
        run_report.write_page(folder, experiment, summary.read(folder).get("status", "not begun"), missing)
    return Page(path, notes)


if __name__ == "__main__":
    run_command(report, sys.argv[1:])
