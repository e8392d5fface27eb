"""sweep.json: which process runs a sweep, and the folders of its jobs. `exp.sweeps.manifest` writes it."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from exp.results.run_folder import SWEEP_MANIFEST


def read(folder: Path) -> dict[str, Any]:
    """Return the content of the sweep's sweep.json; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        content: Any = json.loads((folder / SWEEP_MANIFEST).read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(cast("dict[str, Any]", content).get("folders"), dict):
            return cast("dict[str, Any]", content)
    return {}
