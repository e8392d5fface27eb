"""sweep.csv: a row for each job of a sweep, beside the jobs' folders."""

import csv
import json
import os
from pathlib import Path
from typing import Any, cast

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

NAME = "sweep.csv"


class SweepTable(Callback):
    """Hydra's callback that writes the sweep's sweep.csv anew whenever a job of it has ended, however it did."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        if config.hydra.mode == RunMode.MULTIRUN:
            write(Path(config.hydra.sweep.dir))


def write(folder: Path) -> None:
    """Put `folder`/sweep.csv in place: job, status, what was typed for it, final measures of val and test, seconds."""
    rows = [_row(path.parent) for path in sorted(folder.glob("*/.hydra"), key=_job_number)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    beside = folder / f"{NAME}.{os.getpid()}"  # jobs may end in several processes at once
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(folder / NAME)


def _row(job: Path) -> dict[str, object]:
    summary = job / "summary.json"
    # A job whose config was refused has none.
    content: dict[str, Any] = {"status": "failed"}
    if summary.is_file():
        content = json.loads(summary.read_text(encoding="utf-8"))
    typed = cast("list[str]", OmegaConf.to_container(OmegaConf.load(job / ".hydra/overrides.yaml")))
    final: dict[str, dict[str, float]] = content.get("final", {})
    return {
        "job": job.name,
        "status": content["status"],
        **{key: value for key, _, value in (text.partition("=") for text in typed)},
        **{f"{name}/{split}": value for split in ("val", "test") for name, value in final.get(split, {}).items()},
        "seconds": content.get("seconds", ""),
    }


def _job_number(hydra_folder: Path) -> tuple[int, str]:
    name = hydra_folder.parent.name
    return (int(name) if name.isdigit() else 0, name)
