"""The files of a run folder: their names, and readers of what Hydra wrote there."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config import allowlist
from exp.config.former_names import rename_overrides
from exp.config.overrides import override_key, shell_line, text_override
from exp.config.schema import restores_best
from exp.errors import ConfigError, display_path
from exp.results.yaml_file import read_value, read_yaml

# In the folder of a run.
CONFIG, OVERRIDES, HYDRA_SETTINGS = ".hydra/config.yaml", ".hydra/overrides.yaml", ".hydra/hydra.yaml"
SUMMARY, METRICS, LOG, FIGURES = "summary.json", "metrics.csv", "exp.log", "figures"
IMPORTANCE, CLUSTER_JOB = "importance.csv", "cluster_job.json"
PREDICTIONS = "predictions.csv"  # of a fold; also in the folder of a sweep
LAST_CHECKPOINT, PREVIOUS_CHECKPOINT = "checkpoints/last.pt", "checkpoints/previous.pt"
CALIBRATION = "calibration.json"
BEST_CHECKPOINT, INITIAL_PARAMETERS = "checkpoints/best.pt", "checkpoints/init.pt"

# In the folder of a sweep.
SWEEP_MANIFEST, SWEEP_TABLE, MULTIRUN = "sweep.json", "sweep.csv", "multirun.yaml"
SEARCH_RECORD, SWEEP_LOG = "search.json", "sweep.log"
SEEDS_TABLE, FOLDS_TABLE = "seeds.csv", "folds.csv"
_OF_ONE_COMMAND = ("sweep.resume", "sweep.dry_run", "sweep.detach")  # not of the line that resumes a sweep
SEED_BANDS, FOLD_BANDS, COMPARISON = "seeds", "folds", "comparison"

# In both.
REPORT = "report.html"


def check_is_run(folder: Path) -> None:
    """Raise ConfigError if `folder` is not the folder of a run."""
    if not is_run(folder):
        below = sorted(path.parents[1] for path in folder.glob(f"*/{OVERRIDES}"))
        what = (
            "is a sweep, not a run"
            if is_sweep(folder)
            else "contains runs, but is not a run"
            if below
            else "does not contain a run"
        )
        is_above = not below and next(folder.glob(f"*/*/{OVERRIDES}"), None) is not None  # outputs/DATE/TIME
        fix = f"one of its runs: {below[0]}" if below else "the folder that a run printed at its end"
        raise ConfigError(f"{folder} {what}", shell_line(["ls", str(folder)]) if is_above else fix)


def resume_command(folder: Path, *overrides: str) -> str:
    """Return the command line that resumes the run in `folder` with further overrides."""
    return shell_line([text_override("resume", str(folder)), *overrides])


def init_command(folder: Path, *overrides: str) -> str:
    """Return the command line of a new run with `overrides` that starts with the parameters of the run in `folder`."""
    kept = [word for word in overrides if override_key(word) not in ("init", "hydra.run.dir")]
    return shell_line([*kept, text_override("init", str(display_path(folder)))])


def report_command(folder: Path) -> str:
    """Return the command line that writes the report of the run in `folder`."""
    return shell_line(["report", f"run={folder}"])


def importance_command(folder: Path) -> str:
    """Return the command line that computes the importances of the run in `folder`."""
    return shell_line(["importance", f"run={folder}"])


def find_results(folder: Path) -> str | None:
    """Return what `folder` contains that a new run or sweep in it would mix with: "a sweep", "a run", "other runs"."""
    if any((folder / name).exists() for name in (SWEEP_MANIFEST, SWEEP_TABLE, MULTIRUN)):
        return "a sweep"
    if is_run(folder) or (folder / SUMMARY).exists():
        return "a run"
    below = (path.parents[1] for pattern in ("*", "*/*") for path in folder.glob(f"{pattern}/{OVERRIDES}"))
    if (inside := min(below, default=None)) is not None:
        return f"other runs, such as {inside}"
    return None


def final_checkpoint(folder: Path, early_stopping: Mapping[str, Any]) -> str:
    """Return which checkpoint, best or last, the final metrics of a run with that `early_stopping` are of.

    Without validation rows, a run has no best parameters and ends with those of its last step.
    """
    is_restored = restores_best(early_stopping.get("restore_best"), early_stopping.get("patience"))
    is_best = is_restored and (folder / BEST_CHECKPOINT).exists()
    return "best" if is_best else "last"


def is_run(folder: Path) -> bool:
    """Return whether `folder` is that of a run which began."""
    return (folder / OVERRIDES).is_file()


def is_sweep(folder: Path) -> bool:
    """Return whether `folder` is that of a sweep which began."""
    return (folder / MULTIRUN).is_file()


def read_command(folder: Path) -> list[str]:
    """Return the arguments that started the run in `folder`. ConfigError if they change Hydra's settings."""
    from exp.config.untrusted import refuse_hydra_settings  # imports Hydra, which a worker of a sweep does not need

    arguments = read_arguments(folder)
    config_dir = read_config_dir(folder)
    refuse_hydra_settings(arguments[len(config_dir) :], [], config_dir[1:])
    return arguments


def read_arguments(folder: Path) -> list[str]:
    """Return the arguments that started the run in `folder`, unchecked: to print, not to run."""
    check_is_run(folder)
    return [*read_config_dir(folder), *read_overrides(folder)]


def read_config(folder: Path) -> dict[str, Any]:
    """Return the composed config of the run in `folder`. ConfigError if it cannot be read."""
    saved: Any = _read_hydra_file(folder, CONFIG)
    if not isinstance(saved, dict) or "epochs" not in saved:
        raise ConfigError(f"{folder}/{CONFIG}: not the config of a run", "start a new run")
    return cast("dict[str, Any]", saved)


def read_overrides(folder: Path) -> list[str]:
    """Return the task overrides of that run, without `resume`."""
    saved = _read_words(_read_hydra_file(folder, OVERRIDES), folder / OVERRIDES, "start a new run")
    return [word for word in rename_overrides(saved) if override_key(word) != "resume"]


def read_sweep_overrides(folder: Path) -> list[str]:
    """Return the overrides that the sweep in `folder` was started with, without Hydra's settings.

    Raises:
        ConfigError: An override changes Hydra's settings, which could run any code.
    """
    settings: Any = read_sweep_settings(folder)
    saved = _read_words(settings.get("overrides", {}).get("task"), folder / MULTIRUN, "start a new sweep")
    for word in saved:
        if override_key(word).startswith("hydra") or "@" in word.partition("=")[0]:
            raise ConfigError(f"{folder}/multirun.yaml: {word} is not allowed", "start a new sweep")
    return [word for word in rename_overrides(saved) if override_key(word) not in _OF_ONE_COMMAND]


def _read_words(saved: Any, path: Path, fix: str) -> list[str]:
    """Return the overrides that a file lists. ConfigError for anything else: a flag could run any code."""
    words = cast("list[object]", saved) if isinstance(saved, list) else [saved] if saved else []
    overrides = [word for word in words if isinstance(word, str) and not word.startswith("-")]
    if len(overrides) < len(words):
        raise ConfigError(f"{path}: not a list of KEY=VALUE", fix)
    return overrides


def read_sweep_metric(folder: Path) -> str:
    """Return the sweep.metric of the sweep in `folder`. ConfigError if it cannot be read."""
    path = folder / MULTIRUN
    try:
        return str(read_value(path, "sweep", "metric"))
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}", "start a new sweep") from error


def read_sweep_config_dir(folder: Path) -> list[str]:
    """Return the --config-dir that the sweep was started with, as arguments. ConfigError as in `read_config_dir`."""
    return _check_config_dir(folder, MULTIRUN, read_sweep_settings(folder))


def read_config_dir(folder: Path) -> list[str]:
    """Return the --config-dir that the run was started with, as arguments.

    Raises:
        ConfigError: It is inside the folder of the run or of its sweep: someone else's could bring modules along.
    """
    settings: Any = _read_hydra_file(folder, HYDRA_SETTINGS)
    return _check_config_dir(folder, HYDRA_SETTINGS, settings.get("hydra") if isinstance(settings, dict) else {})


def _check_config_dir(folder: Path, name: str, hydra: Any) -> list[str]:
    try:
        arguments = config_dir_in(hydra)
    except (KeyError, TypeError):
        return []
    if not arguments:
        return []
    config_dir = Path(arguments[1])
    sweeps = [place for place in (folder, *folder.absolute().parents, *folder.resolve().parents) if is_sweep(place)]
    around = (place.resolve() for place in (folder, *sweeps))
    if not config_dir.is_absolute() or any(config_dir.resolve().is_relative_to(place) for place in around):
        what = "sweep" if sweeps else "run"
        raise ConfigError(
            f"{folder}/{name}: --config-dir={config_dir} must be an absolute path outside the {what}",
            f"start a new {what}",
        )
    return ["--config-dir", str(config_dir)]


def config_dir_in(hydra: Any) -> list[str]:
    """Return the arguments `--config-dir FOLDER` by Hydra's own settings; empty if there was none."""
    sources = hydra["runtime"]["config_sources"]
    paths = [str(source["path"]) for source in sources if source["provider"] == "command-line"]
    return ["--config-dir", paths[0]] if paths else []


def add_user_modules_to_path(folder: Path) -> None:
    """Add the folders of the user's modules, as the run in `folder` had them, to sys.path, if EXP_ALLOW is set."""
    allowlist.add_to_path(next(iter(read_config_dir(folder)[1:]), None))


def read_sweep_settings(folder: Path) -> dict[str, Any]:
    """Return Hydra's settings of the sweep in `folder`; empty if there is no record of them."""
    path = folder / MULTIRUN
    try:
        settings: Any = read_yaml(path) if path.exists() else {}
        return settings["hydra"] if settings else {}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}", "start a new sweep") from error


def _read_hydra_file(folder: Path, name: str) -> Any:
    """Return the content of one of Hydra's three files about a run. ConfigError if it is damaged."""
    path = folder / name
    try:
        if name == HYDRA_SETTINGS:  # long, and only its words are read: ten times as fast as OmegaConf
            return read_yaml(path)
        return OmegaConf.to_container(OmegaConf.load(path), resolve=name == CONFIG)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {reason}", "repair the file, or start a new run") from error


def refuse_links(folder: Path) -> None:
    """Raise ConfigError if `folder` contains or, in a sweep, is a link, through which a run would write elsewhere."""
    top = folder.resolve()
    for path in (*([folder] if is_sweep(folder.parent) else []), *folder.rglob("*")):
        if path.is_symlink() and (path == folder or not path.resolve().is_relative_to(top)):  # submitit links inside
            raise ConfigError(
                f"{path} is a link, but a run may write only in its own folder", shlex.join(["rm", str(path)])
            )
