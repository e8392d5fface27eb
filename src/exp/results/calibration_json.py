"""calibration.json: the calibration of a run's model, and of which of its parameters."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exp.config.overrides import shell_line
from exp.errors import DataError
from exp.results.atomic import replacement
from exp.results.run_folder import CALIBRATION
from exp.training.calibration import Calibration


def write(folder: Path, calibration: Calibration, step: int, how: dict[str, Any]) -> None:
    """Write the calibration of the parameters after `step`; `how` tells how it was fitted, and what it changed."""
    content = {**asdict(calibration), "step": step, **how}
    with replacement(folder / CALIBRATION) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(folder: Path, step: int, classes: int) -> Calibration | None:
    """Return the calibration of the run in `folder`; None if there is none, or it is of another step than `step`.

    Prints a note in the second case.

    Args:
        classes: The number of classes of the target; 0 if it is numeric.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / CALIBRATION
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        threshold = content["threshold"]
        calibration = Calibration(
            float(content["scale"]),
            tuple(map(float, content["bias"])),
            None if threshold is None else float(threshold),
        )
        fitted = int(content["step"])
        _check(calibration, classes)
    except (OSError, ValueError, TypeError, KeyError) as error:
        again = shell_line(["calibrate", f"run={folder}"])
        raise DataError(f"{path} cannot be read: {error}", f"{again}, or delete the file") from error
    if fitted != step:
        print(f"not calibrated: {path} is of step {fitted:,}, and the parameters are of step {step:,}")
        return None
    return calibration


def _check(calibration: Calibration, classes: int) -> None:
    """Raise ValueError unless the calibration is one of a model for so many classes."""
    if len(calibration.bias) != classes:
        raise ValueError(f"it has {len(calibration.bias)} biases, and the target {classes} classes")
    numbers = (calibration.scale, *calibration.bias)
    if not all(map(math.isfinite, numbers)) or calibration.scale <= 0:
        raise ValueError("its scale and biases must be finite, and the scale > 0")
    threshold = calibration.threshold
    if threshold is not None and not (classes == 2 and 0 < threshold < 1):
        raise ValueError("its threshold must be between 0 and 1, and of two classes")
