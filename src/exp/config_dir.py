"""A user's own folder of YAMLs, which a stranger may have written: it chooses for exp, and never for Hydra."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from exp.config import CONF
from exp.errors import ConfigError

# Hydra's own settings name callbacks, log handlers and environment variables: that is code, run before exp is asked.
_PACKAGE = re.compile(r"^\s*#\s*@package\s.*hydra", re.MULTILINE)


def refuse_hydra_settings(folder: Path) -> None:
    """ConfigError, naming the file, if a YAML below `folder` is about Hydra itself, or cannot be read or found."""
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        if (CONF / path.relative_to(folder)).exists():
            raise ConfigError(
                f"{path} has the name of one of exp's own, which would be taken in its place",
                f"another name: mv {path} {path.with_stem(f'my_{path.stem}')}",
            )
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            content = cast(object, yaml.safe_load(text))
        except yaml.YAMLError as error:
            where = " ".join(str(error).split())
            raise ConfigError(f"{path} is no YAML: {where}", "mend that line") from error
        inside = "hydra" in path.relative_to(folder).parts[:-1]
        if inside or _PACKAGE.search(text) or any("hydra" in word for word in _keys_and_defaults(content)):
            raise ConfigError(
                f"{path} is about Hydra's own settings, which can run any code; a --config-dir may not hold such",
                "hydra.KEY=VALUE on the command line, where you see it",
            )


def _keys_and_defaults(content: object) -> Iterator[str]:
    """Every key, at any depth, and whatever a defaults list says."""
    if isinstance(content, dict):
        for key, value in cast("dict[Any, object]", content).items():
            yield str(key)
            if key == "defaults":
                yield str(value)
            yield from _keys_and_defaults(value)
    elif isinstance(content, list):
        for item in cast("list[object]", content):
            yield from _keys_and_defaults(item)
