"""A command line, parsed: its flags, its overrides, and the options and keys that it could have named."""

from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from exp.cli.config_sources import check_config_dir, take_main_file, take_searchpath
from exp.cli.flags import check_arguments, values_of
from exp.cli.mode import check_mode, is_cross_validation
from exp.config.compose import compose_config, flags_with_value, parse_arguments
from exp.config.constraints import fitting
from exp.config.experiment_file import GROUPS, ExperimentFile, is_experiment_file, read_experiment
from exp.config.experiment_yaml import FileError
from exp.config.flow_values import readable
from exp.config.nearest_names import nearest
from exp.config.overrides import as_text, override_key, shell_line, text_in
from exp.config.schema import CONF, choices_of, flatten
from exp.data.input_files import DATA_PATHS
from exp.errors import ConfigError
from exp.sweeps.executors.first_process import WITHOUT_WORKERS


@dataclass(frozen=True)
class CommandLine:
    """The arguments after `exp`."""

    flags: tuple[str, ...] = ()  # -m, --config-dir DIR and the like
    overrides: tuple[str, ...] = ()  # KEY=VALUE
    multirun: bool = False
    config_dir: str | None = None
    resumed: Path | None = None  # the folder of the run that it resumes
    file: ExperimentFile | None = None  # whose overrides are among `overrides`

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> "CommandLine":
        """Parse arguments in any order.

        Raises:
            FileMistakesError: The experiment's file has mistakes.
            ConfigError: A flag is unknown, a key is given as a flag, or given twice.
        """
        check_arguments(arguments, cls(overrides=tuple(word for word in arguments if "=" in word.strip("=-"))))
        flags, rest = _flags_first(arguments)
        parsed = parse_arguments([*(flag for flag in flags if flag != "--version"), *rest])  # argparse has Hydra's
        typed = [readable(as_text(word)) for word in cast("list[str]", parsed.overrides)]
        if parsed.config_path:
            words = ["--config-dir" if word in ("--config-path", "-cp") else word for word in arguments]
            raise ConfigError("--config-path would replace exp's own YAML files", shell_line(words))
        check_config_dir(parsed.config_dir, arguments)
        typed, config_dir = take_searchpath(typed, parsed.config_dir)
        if config_dir != parsed.config_dir:
            flags = ["--config-dir", str(config_dir), *flags]
        flags, main = take_main_file(flags, parsed.config_name, config_dir)
        typed = typed if main is None else [main, *typed]
        file = None if {"-h", "--help"} & set(flags) else _read_file(typed, config_dir)
        if file is not None:
            typed.remove(file.path)
        overrides = typed if file is None else file.merge(typed, multirun=True)
        is_sweep = parsed.multirun or is_cross_validation(flags, overrides)
        if is_sweep and not parsed.multirun:
            flags = ["-m", *flags]
        if file is None:
            check_mode(flags, typed, is_sweep)
        else:
            check_mode([*flags, file.path], typed, is_sweep)
            overrides = file.merge(typed, is_sweep)
        line = cls(tuple(flags), tuple(overrides), is_sweep, config_dir, file=file)
        if file is not None and file.mistakes:
            raise FileMistakesError(line, file.mistakes)
        return line

    @property
    def words(self) -> list[str]:
        """The arguments that mean this line: the name of the file in place of what it says, where that is the same."""
        if self.file is not None:
            typed = [word for word in self.overrides if self.file.line_of(word) is None]
            if sorted(self.file.merge(typed, self.multirun)) == sorted(self.overrides):
                return [*self.flags, self.file.path, *typed]
        return [*self.flags, *self.overrides]

    def __str__(self) -> str:
        return shell_line(self.words)

    def namespace(self) -> Namespace:
        """Return the command line as Hydra takes it."""
        return parse_arguments([*self.flags, *self.overrides])

    @property
    def trains_in_workers(self) -> bool:
        return self.multirun and not any(word.startswith(WITHOUT_WORKERS) for word in self.overrides)

    def with_overrides(self, overrides: Sequence[str]) -> "CommandLine":
        return replace(self, overrides=tuple(overrides))

    def override_of(self, key: str | None) -> str | None:
        """Return the override of that key as it was typed."""
        return next((word for word in self.overrides if override_key(word) == key), None)

    def text_of(self, key: str) -> str:
        """Return the text that `key` is set to, without Hydra's quotes."""
        return text_in((self.override_of(key) or "").partition("=")[2])

    def take(self, key: str) -> tuple[list[str], "CommandLine"]:
        """Return the values given to `key`, and the command line without them."""
        values = [word.partition("=")[2] for word in self.overrides if word.startswith(f"{key}=")]
        return values, self.with_overrides([word for word in self.overrides if not word.startswith(f"{key}=")])

    @property
    def search(self) -> list[str]:
        """Return the folders of YAML files other than those of exp."""
        return [self.config_dir] if self.config_dir else []

    @cached_property
    def groups(self) -> dict[str, dict[str, Path]]:
        """Every group of ours and the user's, with the file of each of its options."""
        groups: dict[str, dict[str, Path]] = {}
        for folder in [CONF, *map(Path, self.search)]:
            for path in sorted(folder.glob("[!_.]*/*.yaml")):
                if path.parent.name != "hydra":
                    groups.setdefault(path.parent.name, {})[path.stem] = path
        return groups

    def find_chosen_files(self) -> list[Path]:
        """Return the user's own files of the chosen options, those that override others first."""
        pairs = {key: option for key, _, option in (word.partition("=") for word in self.overrides)}
        with suppress(Exception):  # an error that is explained in its turn
            pairs |= choices_of(compose_config(self.overrides, self.search, with_hydra=True).hydra.runtime.choices)
        found = [self.groups[group][option] for group, option in pairs.items() if option in self.groups.get(group, {})]
        order = {"experiment": 0, "dataset": 1}
        own = [path for path in found if not path.is_relative_to(CONF)]
        return sorted(own, key=lambda path: order.get(path.parent.name, 2))

    def nearest_option(self, group: str, value: str, options: Sequence[str]) -> str | None:
        """Return the override meant where `value` is no option of the group: the nearest option, or a key in it."""
        kind, colon, _ = value.partition(":")  # cpu:1; device=cuda:64 is device.name=cuda:64
        near = nearest(value, options) if not colon else kind if kind in options and kind != "cuda" else None
        inside = [key for key in self.keys if key.startswith(f"{group}.")]
        key = None if value == "null" else inside[0] if len(inside) == 1 else fitting(value, inside)
        if near is None and key is not None:
            return f"{key}={value}"
        return f"{group}={near}" if near else None

    @cached_property
    def keys(self) -> list[str]:
        """Every key of the config that the choices on this line compose, or of the default config if they cannot."""
        pairs = ((word, *word.partition("=")[::2]) for word in self.overrides)
        chosen = [word for word, group, value in pairs if value in self.groups.get(group, {})]
        try:
            cfg = compose_config(chosen, self.search)
        except Exception:  # an error of its own, which is explained in its turn
            cfg = compose_config([])
        content = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False))
        return [key for key in flatten(content) if not key.rpartition(".")[2].startswith("_")]


class FileMistakesError(ConfigError):
    """The mistakes of an experiment's file, and the command line as it was meant, which may have others."""

    def __init__(self, line: CommandLine, mistakes: Sequence[FileError]) -> None:
        super().__init__(mistakes[0].problem, mistakes[0].fix)
        self.line = line
        self.mistakes = mistakes


def _read_file(typed: Sequence[str], config_dir: str | None) -> ExperimentFile | None:
    """Return the experiment file among the arguments; None if there is none. ConfigError if there are several."""
    names = [word for word in typed if is_experiment_file(word)]
    if not names:
        return None
    if len(names) > 1:
        others = [word for word in typed if word not in names[1:]]
        raise ConfigError(f"{' '.join(names)}: an experiment is one file", shell_line(others))
    file = read_experiment(names[0]).with_resolved_data_paths(DATA_PATHS)
    if not file.has_keys_of_exp:
        return file
    options = [word for word in file.merge(typed, multirun=True) if override_key(word) in GROUPS]
    return file.with_new_keys(CommandLine(overrides=tuple(options), config_dir=config_dir).keys)


def _flags_first(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split arguments into flags with their values, and the rest: argparse does not take flags between the others."""
    takes_value = flags_with_value()
    flags: list[str] = []
    rest: list[str] = []
    for word, before in zip(arguments, ["", *arguments], strict=False):
        is_value = takes_value.get(before) or (before in takes_value and word in values_of(before))
        (flags if word in takes_value or word.startswith("--") or is_value else rest).append(word)
    if {"-m", "--multirun"} & set(flags) and (shown := {"-c", "--cfg"} & set(flags)):
        place = flags.index(shown.pop())  # Hydra shows one config; of a sweep the jobs are listed
        return [*flags[:place], *flags[place + 2 :]], [*rest, "sweep.dry_run=true"]
    return flags, rest
