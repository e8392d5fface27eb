"""`resume=FOLDER`: repeat the command of a run in its own folder; only its length may change."""

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from exp.cli.command_line import CommandLine
from exp.cli.config_sources import check_recorded_dir
from exp.cli.folder import lock_until_end
from exp.cli.mode import is_cross_validation
from exp.cli.resume_changes import kept_words, refuse_changes
from exp.config.former_names import pin_former_defaults
from exp.config.nearest_names import nearest
from exp.config.overrides import override_key, shell_line, text_in, text_override
from exp.config.schema import flatten
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError, display_path
from exp.results import summary
from exp.results.resume_line import has_storage, is_search, resume_sweep_command
from exp.results.run_folder import (
    MULTIRUN,
    OVERRIDES,
    SUMMARY,
    SWEEP_MANIFEST,
    is_run,
    is_sweep,
    read_config,
    read_config_dir,
    read_overrides,
    read_sweep_config_dir,
    read_sweep_overrides,
    refuse_links,
)
from exp.sweeps import manifest


def resume_run(line: CommandLine) -> CommandLine:
    """Return the command line that resumes the run which `resume=` names; `line` itself without resume=.

    With `auto` it is the latest run of the same overrides; if there is none, a new one begins.

    Raises:
        ConfigError: There is no such run, more than its length would change, or its files cannot be trusted.
        AlreadyFinished: The run is finished, and the command does not extend it.
    """
    given, rest = line.take("resume")
    if not given or given == ["null"]:
        return line
    _check_one("resume", given)
    if line.multirun:
        several = line.override_of("folds") if is_cross_validation((), line.overrides) else "-m"
        fix = shell_line([f"resume={given[0]}", *kept_words(rest.overrides)])
        raise ConfigError(f"resume= resumes one run, and {several} starts several", fix, key="resume")
    if given[0] == "auto":
        folder = _latest(rest.overrides)
        if folder is None:
            return rest
    else:
        folder = _path(given[0])
    if not is_run(folder):
        raise _no_run(given[0], folder, rest)
    summary.refuse_running(display_path(folder))
    lock_until_end(folder)
    refuse_links(folder)
    keys = {override_key(word) for word in rest.overrides}
    saved = read_overrides(folder)
    pinned = pin_former_defaults(flatten(read_config(folder)), {*keys, *map(override_key, saved)})
    overrides = [*(word for word in saved if override_key(word) not in keys), *pinned, *rest.overrides]
    resumed = replace(rest, overrides=tuple(overrides), resumed=folder)
    if rest.config_dir is None and (saved := read_config_dir(folder)):
        check_recorded_dir(saved[1], f"resume={given[0]}")
        resumed = replace(resumed, flags=(*saved, *rest.flags), config_dir=saved[1])
    refuse_hydra_settings(overrides, list(rest.overrides), resumed.search)
    refuse_changes(folder, resumed, rest.overrides)
    added = (text_override("hydra.run.dir", str(folder)), text_override("resume", str(folder)))
    return resumed.with_overrides([*overrides, *added])


def with_saved(line: CommandLine) -> CommandLine:
    """Return the line with the overrides of the run that its `resume=` names, as composed; itself without such a run.

    Without them, an error of the line could not be distinguished from a key of the run's own options.
    """
    given, rest = line.take("resume")
    if len(given) != 1 or line.resumed is not None or not is_run(folder := _path(given[0])):
        return line
    keys = {override_key(word) for word in rest.overrides}
    try:
        saved = [word for word in read_overrides(folder) if override_key(word) not in keys]
        whole = replace(line, config_dir=line.config_dir or next(iter(read_config_dir(folder)[1:]), None))
        refuse_hydra_settings(saved, [], whole.search)
    except (ConfigError, HydraException, OmegaConfBaseException):  # of the run, not of the line
        return line
    return whole.with_overrides([*saved, *line.overrides])


@contextmanager
def restored_unless_begun(folder: Path | None) -> Generator[None]:
    """Restore the files of the run in `folder` if resuming it fails before it begins.

    Hydra writes into .hydra before it calls exp, and the error is logged.
    """
    others = [] if folder is None else [*folder.glob("*.log"), *(folder / ".hydra").glob("*.yaml")]
    paths = [] if folder is None else [folder / SUMMARY, *others]
    previous = {path: path.read_bytes() for path in paths if path.exists()}
    try:
        yield
    except BaseException:
        if paths and paths[0] in previous and paths[0].read_bytes() == previous[paths[0]]:
            for path, content in previous.items():
                path.write_bytes(content)
        raise


def resume_sweep(line: CommandLine) -> CommandLine:
    """Return the command line that writes into the folder of the sweep which `sweep.resume=` names.

    With `auto` it is the latest sweep; if there is none, a new one begins. ConfigError if there is no such sweep.
    """
    given, rest = line.take("sweep.resume")
    if not given or given == ["null"]:
        return line
    _check_one("sweep.resume", given)
    if not line.multirun:
        what = f"sweep.resume={given[0]} resumes a sweep, and needs -m"
        raise ConfigError(what, shell_line(["-m", *line.words]), key="sweep.resume")
    folders, without_folder = rest.take("hydra.sweep.dir")
    if given[0] == "auto":
        where = Path(text_in(folders[-1]) if folders else "outputs")
        found = sorted(where.glob(f"**/{SWEEP_MANIFEST}"), key=lambda path: path.stat().st_mtime)
        if not found:
            return rest
        folder = found[-1].parent.resolve()
    else:
        folder = _path(given[0])
    if not (folder / SWEEP_MANIFEST).is_file():
        if is_run(folder):
            what = f"sweep.resume={given[0]}: it is a run, not a sweep"
            fix = shell_line([text_override("resume", text_in(given[0])), *without_folder.overrides])
        elif (folder / MULTIRUN).is_file():
            what, fix = f"sweep.resume={given[0]}: another launcher ran it", "a new sweep, with exp's own launcher"
        else:
            what, fix = f"sweep.resume={given[0]}: no sweep is there", "the folder that a sweep named at its end"
        raise ConfigError(what, fix, key="sweep.resume")
    manifest.refuse_running(folder)
    if is_search(folder):
        raise _is_search(f"sweep.resume={given[0]}", folder, without_folder)
    refuse_links(folder)
    keys = {override_key(word) for word in without_folder.overrides}
    saved = [word for word in read_sweep_overrides(folder) if override_key(word) not in keys]
    content = manifest.read(folder)
    if not is_sweep(folder):
        what = f"sweep.resume={given[0]}: it was killed before its first job began"
        raise ConfigError(what, f"rm {shlex.quote(str(folder / SWEEP_MANIFEST))}, and the command that began it")
    pinned = pin_former_defaults(content["config"], {*keys, *map(override_key, saved), *content["varied"]})
    added = (text_override("hydra.sweep.dir", str(folder)), text_override("sweep.resume", str(folder)))
    resumed = without_folder.with_overrides([*saved, *pinned, *without_folder.overrides, *added])
    if line.config_dir is None and (config_dir := read_sweep_config_dir(folder)):
        check_recorded_dir(config_dir[1], f"sweep.resume={given[0]}")
        resumed = replace(resumed, flags=(*config_dir, *line.flags), config_dir=config_dir[1])
    return resumed


def _check_one(key: str, given: Sequence[str]) -> None:
    """Raise ConfigError unless one folder is given."""
    if len(given) > 1 or not given[0]:
        what = f"{' '.join(f'{key}={name}' for name in given)}: {key} takes one folder"
        raise ConfigError(what, f"one {key}=FOLDER", key=key)


def _is_search(typed: str, folder: Path, rest: CommandLine) -> ConfigError:
    """Return the error for the folder of a search, with the line that continues its study."""
    how = "a search is continued by the command that began it, in another folder"
    what = how if has_storage(folder) else "a search without hydra.sweeper.storage cannot be continued, only repeated"
    return ConfigError(
        f"{typed}: {what}", resume_sweep_command(display_path(folder), *rest.overrides), key=typed.partition("=")[0]
    )


def _path(value: str) -> Path:
    """Return the absolute path that is the value of an override."""
    return Path(text_in(value)).expanduser().resolve()


def _no_run(value: str, folder: Path, rest: CommandLine) -> ConfigError:
    """Return the error for a `resume=` that is not the folder of a run, with the line that was probably meant."""
    what = f"resume={value}: no run is there"
    if (folder / SWEEP_MANIFEST).is_file() and is_search(folder):
        return _is_search(f"resume={value}", folder, rest)
    if (folder / SWEEP_MANIFEST).is_file():
        fix = shell_line(["-m", text_override("sweep.resume", text_in(value)), *rest.words])
        return ConfigError(f"resume={value}: it is a sweep, not a run", fix, key="resume")
    near = nearest(folder.name, [path.name for path in folder.parent.glob("*") if is_run(path)])
    meant = next((path for path in folder.parents if is_run(path)), folder.with_name(near) if near else None)
    if meant is None:
        return ConfigError(what, "resume= and the folder that a run named at its end", key="resume")
    override = text_override("resume", str(display_path(meant)))
    return ConfigError(what, shell_line([override, *rest.words]), key="resume", override=override)


def _latest(overrides: Sequence[str]) -> Path | None:
    """Return the folder of the latest run below outputs/ with the same overrides; None if there is none."""
    runs = sorted(Path("outputs").glob(f"**/{OVERRIDES}"), key=lambda path: path.stat().st_mtime, reverse=True)
    wanted = sorted(word for word in overrides if not word.startswith("hydra."))
    for path in runs:
        folder = path.parents[1].resolve()
        with suppress(ConfigError):  # a damaged run
            if sorted(read_overrides(folder)) == wanted:
                return folder
    return None
