"""Read a YAML file that Hydra wrote, once as long as it does not change."""

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf

from exp.config.yaml_comments import LOADER


def read_yaml(path: Path) -> Any:
    """Return the content of the file, with references as text. Do not modify it: other callers get the same.

    Raises:
        OSError, ValueError, yaml.YAMLError: It cannot be read.
    """
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


def read_value(path: Path, *keys: str) -> Any:
    """Return the value below `keys`, with references resolved. KeyError or TypeError if there is none."""
    value = read_yaml(path)
    for key in keys:
        value = value[key]
    has_reference = isinstance(value, str) and "${" in value
    return OmegaConf.select(cast("Any", OmegaConf.load(path)), ".".join(keys)) if has_reference else value


@lru_cache(maxsize=256)
def _read(path: Path, changed: int, size: int) -> Any:
    del changed, size  # only part of the key
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, LOADER)
