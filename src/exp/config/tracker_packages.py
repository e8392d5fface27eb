"""The packages that exp's trackers need, looked for before a run writes anything."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from exp.errors import ConfigError, install_command

# target -> its extra in pyproject.toml, and the packages that must be there.
_PACKAGES = {
    "exp.trackers.mlflow.MLflow": ("mlflow", ("mlflow", "sqlalchemy", "alembic")),
    "exp.trackers.wandb.WandB": ("wandb", ("wandb",)),
    "exp.trackers.trackio.Trackio": ("trackio", ("trackio",)),
}


def refuse_missing_packages(tracker: Mapping[str, Any]) -> None:
    """Raise ConfigError, with the pip command, if a package of the tracker is not installed."""
    extra, packages = _PACKAGES.get(str(tracker.get("_target_")), ("", ()))
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:  # a folder of that name, such as W&B's own, is no package
            what = f"tracker={extra}: it needs {package}, which is not installed"
            raise ConfigError(what, install_command(extra), key="tracker")
