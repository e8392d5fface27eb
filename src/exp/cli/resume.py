"""`resume=FOLDER`: repeat the command of a run in its own folder; only its length may change."""

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from exp.cli.command_line import CommandLine
from exp.config.compose import compose_config, override_key
from exp.config.schema import flatten
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError, as_yaml
from exp.results import summary
from exp.results.run_folder import (
    SWEEP_MANIFEST,
    read_config,
    read_config_dir,
    read_overrides,
    refuse_links,
)

# Keys that may differ in a resumed run.
_MAY_CHANGE = ("epochs", "figures", "watch", "resume", "sweep.")


class AlreadyFinished(Exception):  # noqa: N818  # not an error
    """The run in `folder` has ended, and is not to train for longer."""

    def __init__(self, folder: Path, epochs: Any) -> None:
        super().__init__(
            f"{folder} is finished\n  to train longer: python -m exp resume={folder} epochs={_twice(epochs)}"
        )
        self.folder = folder


def resume_run(line: CommandLine) -> CommandLine:
    """Return the command line that resumes the run which `resume=` names; `line` itself without resume=.

    With `auto` it is the latest run of the same overrides; if there is none, a new one begins.

    Raises:
        ConfigError: There is no such run, more than its length would change, or its files are not to be trusted.
        AlreadyFinished: It has ended, and is not to be longer.
    """
    given, rest = line.take("resume")
    if not given or given == ["null"]:
        return line
    if len(given) > 1 or not given[0]:
        what = f"{' '.join(f'resume={name}' for name in given)}: it takes one folder"
        raise ConfigError(what, "one resume=FOLDER", key="resume")
    if line.multirun:
        raise ConfigError("resume= resumes one run, and -m starts several", "resume=FOLDER without -m", key="resume")
    if given[0] == "auto":
        folder = _latest(rest.overrides)
        if folder is None:
            return rest
    else:
        folder = Path(given[0].strip("'\"")).expanduser().resolve()
    if not (folder / ".hydra" / "overrides.yaml").is_file():
        above = next((path for path in folder.parents if (path / ".hydra" / "overrides.yaml").is_file()), None)
        cure = (
            f"the run's folder itself: resume={above}"
            if above
            else "resume= and the folder that a run named at its end"
        )
        override = f"resume={above}" if above else None
        raise ConfigError(f"resume={given[0]}: no run is there", cure, key="resume", override=override)
    refuse_links(folder)
    keys = {override_key(word) for word in rest.overrides}
    overrides = [*(word for word in read_overrides(folder) if override_key(word) not in keys), *rest.overrides]
    resumed = replace(rest, overrides=tuple(overrides), resumed=folder)
    if rest.config_dir is None and (saved := read_config_dir(folder)):
        resumed = replace(resumed, flags=(*saved, *rest.flags), config_dir=saved[1])
    refuse_hydra_settings(overrides, list(rest.overrides), resumed.search)
    _refuse_changes(folder, resumed)
    return resumed.with_overrides([*overrides, f"hydra.run.dir={_quoted(folder)}", f"resume={_quoted(folder)}"])


@contextmanager
def restored_unless_begun(folder: Path | None) -> Generator[None]:
    """Restore the files of the run in `folder` if resuming it fails before it begins.

    Hydra writes into .hydra before it calls exp.
    """
    paths = [folder / summary.NAME, *(folder / ".hydra").glob("*.yaml")] if folder is not None else []
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
    if len(given) > 1:
        raise ConfigError(
            f"{' '.join(f'sweep.resume={name}' for name in given)}: one folder",
            "one sweep.resume=FOLDER",
            key="sweep.resume",
        )
    if not line.multirun:
        what = f"sweep.resume={given[0]} resumes a sweep, and needs -m"
        raise ConfigError(what, shlex.join(["-m", *line.words]), key="sweep.resume")
    folders, without_folder = rest.take("hydra.sweep.dir")
    if given[0] == "auto":
        where = Path(folders[-1].strip("'\"") if folders else "outputs")
        found = sorted(where.glob(f"**/{SWEEP_MANIFEST}"), key=lambda path: path.stat().st_mtime)
        if not found:
            return rest
        folder = found[-1].parent.resolve()
    else:
        folder = Path(given[0].strip("'\"")).expanduser().resolve()
    if not (folder / SWEEP_MANIFEST).is_file():
        if (folder / "multirun.yaml").is_file():
            what, fix = f"sweep.resume={given[0]}: another launcher ran it", "a new sweep, with exp's own launcher"
        else:
            what, fix = f"sweep.resume={given[0]}: no sweep is there", "the folder that a sweep named at its end"
        raise ConfigError(what, fix, key="sweep.resume")
    refuse_links(folder)
    added = (f"hydra.sweep.dir={_quoted(folder)}", f"sweep.resume={_quoted(folder)}")
    return without_folder.with_overrides([*without_folder.overrides, *added])


def _quoted(folder: Path) -> str:
    """For Hydra, which reads = and commas in it otherwise."""
    return "'" + str(folder).replace("'", "\\'") + "'"


def _latest(overrides: Sequence[str]) -> Path | None:
    """The newest run's folder of these very overrides below outputs/."""
    runs = sorted(Path("outputs").glob("**/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    wanted = sorted(word for word in overrides if not word.startswith("hydra."))
    for path in runs:
        folder = path.parents[1].resolve()
        with suppress(ConfigError):  # a damaged run
            if sorted(read_overrides(folder)) == wanted:
                return folder
    return None


def _refuse_changes(folder: Path, line: CommandLine) -> None:
    """ConfigError, with the difference, if `line` does not compose what the run was started with."""
    config = compose_config(line.overrides, line.search)
    now = flatten(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True)))
    then = flatten(read_config(folder))
    changed = [
        key for key in sorted({*now, *then}) if not key.startswith(_MAY_CHANGE) and now.get(key) != then.get(key)
    ]
    if changed:
        changes = "; ".join(f"{key} was {as_yaml(then.get(key))}, is now {as_yaml(now.get(key))}" for key in changed)
        what = f"cannot resume with a different config: {changes}"
        raise ConfigError(what, "a new run, without resume", key="resume")
    _refuse_other_length(folder, now, then)


def _refuse_other_length(folder: Path, now: dict[str, Any], then: dict[str, Any]) -> None:
    """Check `epochs`, of which those of a run with epochs=auto are in its summary, once it has begun."""
    status = summary.read(folder)
    before = status.get("decided", {}).get("epochs") if then["epochs"] == "auto" else then["epochs"]
    if now["epochs"] == then["epochs"]:
        if status.get("status") == "finished":
            raise AlreadyFinished(folder, before)
        return
    if now["epochs"] == "auto" or (before is not None and now["epochs"] < before):
        raise ConfigError(
            f"epochs={now['epochs']} is {'not' if now['epochs'] == 'auto' else 'less than'} the run's {before}",
            f"epochs={_twice(before)} to train longer, or no epochs= to finish the run",
            key="epochs",
        )
    if "scheduler.T_max" in now and now["scheduler.T_max"] is None:
        raise ConfigError(
            "scheduler.T_max=null spans the whole run: a longer run has a different schedule from its first step",
            f"a new run, without resume: epochs={now['epochs']}",
            key="scheduler.T_max",
        )


def _twice(epochs: Any) -> int | str:
    return 2 * epochs if isinstance(epochs, int) else "NUMBER"
