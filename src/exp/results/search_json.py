"""search.json: what a search has found so far: its best trial, and how much each searched key matters."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from exp.results.atomic import replacement
from exp.results.run_folder import SEARCH_RECORD


@dataclass(frozen=True)
class SearchRecord:
    """The study of the search in a folder, with the trials that searches in other folders began.

    Attributes:
        trials: Number of trials that ended.
        best_value: The metric of the best trial, the mean over its jobs; None if no trial finished.
        best_params: What the best trial chose.
        best_command: The command line that makes the run of the best trial, or its runs for all seeds or folds.
        importances: The share of each key in the variation of the metric; empty if there are too few trials.
        log: The keys that are searched on a logarithmic scale.
        best_folder: The folder of the search that began the best trial; empty if it is not known.
    """

    metric: str
    direction: str
    trials: int
    best_value: float | None = None
    best_params: dict[str, Any] = field(default_factory=dict[str, Any])
    best_command: str = ""
    importances: dict[str, float] = field(default_factory=dict[str, float])
    log: list[str] = field(default_factory=list[str])
    best_folder: str = ""


def write(folder: Path, record: SearchRecord) -> None:
    """Write `folder`/search.json."""
    with replacement(folder / SEARCH_RECORD, shared=True) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> SearchRecord | None:
    """Return the record of the search in `folder`; None if the folder has none, or it is damaged."""
    try:
        content: Any = json.loads((folder / SEARCH_RECORD).read_text(encoding="utf-8"))
        record = SearchRecord(**{one.name: content[one.name] for one in fields(SearchRecord) if one.name in content})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    kinds = {"trials": int, "best_value": float | int | None, "importances": dict, "log": list}
    kinds |= {"best_command": str, "best_folder": str}
    has_kinds = all(isinstance(getattr(record, name), kind) for name, kind in kinds.items())
    shares: list[object] = list(record.importances.values()) if has_kinds else []
    return record if has_kinds and all(isinstance(share, float | int) for share in shares) else None
