"""metrics.csv: a row for each logged moment."""

import csv
import time
from pathlib import Path

from exp.events import Built, Ending, Evaluated, Event, Trained

NAME = "metrics.csv"


class Table:
    """Writes `folder`/metrics.csv line by line, so that what was measured is on the disk whatever happens next.

    Rows of split `train` are means over the batches since the last such row, each before its update; rows of `val` and
    `test` are the whole split under the parameters of that step. Reading a number back gives the same bits.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / NAME).open("w", newline="", buffering=1)
        self._writer = csv.writer(self._file)
        self._measures: tuple[str, ...] = ()
        self._began = 0.0

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._measures = ("loss", *event.measures)
            self._began = time.perf_counter()
            self._writer.writerow(["step", "epoch", "samples", "seconds", "split", *self._measures])
        elif isinstance(event, Trained | Evaluated):
            split = "train" if isinstance(event, Trained) else event.split
            # The last look at the whole training split is another measure than the means above: summary.json has it.
            if isinstance(event, Trained) or split != "train":
                at, values = event.at, event.measures.values()
                seconds = f"{time.perf_counter() - self._began:.6f}"
                row = [at.step, f"{at.epoch:.10g}", at.samples, seconds, split]
                self._writer.writerow([*row, *(values.get(name, "") for name in self._measures)])

    def close(self, ending: Ending) -> None:
        del ending
        self._file.close()
