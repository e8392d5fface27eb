"""A command line, parsed: its flags, its overrides, and the options and keys that they could have named."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from exp.config.compose import compose_config
from exp.config.constraints import fitting
from exp.config.schema import CONF, flatten
from exp.errors import nearest


@dataclass(frozen=True)
class CommandLine:
    """What was typed after `exp`."""

    flags: tuple[str, ...]  # -m, --config-dir DIR and the like
    overrides: tuple[str, ...]  # KEY=VALUE
    multirun: bool = False
    config_dir: str | None = None

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> "CommandLine":
        """Parse words of which the flags come first."""
        parsed = get_args_parser().parse_args(list(arguments))
        overrides = tuple(cast("list[str]", parsed.overrides))
        flags = tuple(arguments[: len(arguments) - len(overrides)])
        return cls(flags, overrides, parsed.multirun, parsed.config_dir)

    @property
    def words(self) -> list[str]:
        return [*self.flags, *self.overrides]

    def __str__(self) -> str:
        return shlex.join(["python", "-m", "exp", *self.words])

    def with_overrides(self, overrides: Sequence[str]) -> "CommandLine":
        return replace(self, overrides=tuple(overrides))

    def override_of(self, key: str | None) -> str | None:
        """The override of that key as it was typed."""
        return next((word for word in self.overrides if override_key(word) == key), None)

    @property
    def search(self) -> list[str]:
        """What makes `compose` look into the user's own folder too."""
        return [f"hydra.searchpath=[file://{Path(self.config_dir).absolute()}]"] if self.config_dir else []

    @cached_property
    def groups(self) -> dict[str, dict[str, Path]]:
        """Every group of ours and the user's, with the file of each of its options."""
        groups: dict[str, dict[str, Path]] = {}
        for folder in [CONF, *([Path(self.config_dir)] if self.config_dir else [])]:
            for path in sorted(folder.glob("[!_.]*/*.yaml")):
                if path.parent.name != "hydra":
                    groups.setdefault(path.parent.name, {})[path.stem] = path
        return groups

    def chosen_files(self) -> list[Path]:
        """The files of the options chosen on this line; those that set keys of other groups first."""
        pairs = [word.partition("=")[::2] for word in self.overrides]
        found = [self.groups[group][option] for group, option in pairs if option in self.groups.get(group, {})]
        return sorted(found, key=lambda path: path.parent.name != "experiment")

    def nearest_option(self, group: str, value: str, options: Sequence[str]) -> str | None:
        """The override meant where `value` is no option of that group: the nearest option, or a key in the group."""
        near = nearest(value, options) if ":" not in value else None
        inside = [key for key in self.keys if key.startswith(f"{group}.")]
        key = inside[0] if len(inside) == 1 else fitting(value, inside)
        if near is None and key is not None:
            return f"{key}={value}"
        return f"{group}={near}" if near else None

    @cached_property
    def keys(self) -> list[str]:
        """Every key of the config that the choices on this line compose, or of the default config if they cannot."""
        pairs = ((word, *word.partition("=")[::2]) for word in self.overrides)
        chosen = [word for word, group, value in pairs if value in self.groups.get(group, {})]
        try:
            cfg = compose_config([*chosen, *self.search])
        except Exception:  # an error of its own, which is explained in its turn
            cfg = compose_config([])
        content = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False))
        return [key for key in flatten(content) if not key.rpartition(".")[2].startswith("_")]


def override_key(word: str) -> str:
    """The key of an override, without + or ~ before it or a package behind it."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]
