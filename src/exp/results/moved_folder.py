"""The paths that a run or sweep recorded of itself, after its folder moved."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from exp.results import search_json
from exp.results.atomic import replacement
from exp.results.find_runs import job_folders
from exp.results.run_folder import HYDRA_SETTINGS, MULTIRUN, REPORT, is_sweep, report_command

# Lines of Hydra's records whose value is the folder of the run or sweep, or a folder in it.
_LINE = re.compile(r"^(\s*(?:- )?(?:output_dir: |dir: |hydra\.run\.dir=|hydra\.sweep\.dir=))(.+)$", re.MULTILINE)

# In the same files: the folder where the command was typed, which relative paths are from.
_CWD = re.compile(r"^\s+cwd: (.+)$", re.MULTILINE)


def correct_paths(folder: Path, old: Path) -> Iterator[str]:
    """Correct the paths in the files of the run or sweep in `folder`, which was in `old`; yield notes for people.

    Args:
        old: An absolute path.
    """
    new = folder.absolute()
    jobs = job_folders(folder) if is_sweep(folder) else []
    for path in (folder / MULTIRUN, *(one / HYDRA_SETTINGS for one in (folder, *jobs))):
        if path.is_file():
            _correct_yaml(path, old, new)
    record = search_json.read(folder)
    if record is not None and record.best_folder and Path(record.best_folder) == old:
        search_json.write(folder, replace(record, best_folder=str(new)))
    if (folder / REPORT).exists():
        yield f"{folder / REPORT} names the former folder; to write it anew: {report_command(folder)}"


def _correct_yaml(path: Path, old: Path, new: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cwd = _CWD.search(text)
    typed_in = Path(str(yaml.safe_load(cwd[1]))) if cwd is not None else Path.cwd()

    def corrected(match: re.Match[str]) -> str:
        try:
            value: object = yaml.safe_load(match[2])
        except yaml.YAMLError:
            return match[0]
        if not isinstance(value, str) or "${" in value:
            return match[0]
        place = typed_in / value
        if not place.is_relative_to(old):
            return match[0]
        moved = str(new / place.relative_to(old))
        return match[1] + (moved if yaml.safe_load(moved) == moved else json.dumps(moved))

    changed = _LINE.sub(corrected, text)
    if changed != text:
        with replacement(path) as temporary:
            temporary.write_text(changed, encoding="utf-8")
