"""The experiment of a run folder as it was before its first step."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from exp.config.validation import config_from_saved
from exp.data.input_files import DATA_PATHS, describe_place, with_moved_files
from exp.errors import DataError
from exp.results import checkpoints, run_folder, summary
from exp.results.previous_run import PreviousRun
from exp.training.build import Experiment


def rebuild(folder: Path, moved: Mapping[str, str]) -> Experiment:
    """Build the experiment of the run in `folder` again, with its initial parameters and eager steps.

    Torch's random generator then has the state that it had in the run at this point. Nothing is written.

    Args:
        moved: Where the data files of the run are now, by key: {"dataset.path": "data.csv"}.

    Raises:
        ConfigError: There is no run, or its config is not allowed.
        CheckpointError: Its initial parameters cannot be read.
        DataError: Its rows changed, or are missing.
    """
    run_folder.check_is_run(folder)
    run_folder.add_user_modules_to_path(folder)
    config = config_from_saved(run_folder.read_config(folder))
    dataset = with_moved_files(config.dataset, moved)
    # Every engine has the bits of the eager steps, except torch.compile, which records nothing of a layer.
    config = replace(config, dataset=dataset, engine="eager", compile=False)
    initial = None if config.init is None else checkpoints.read(folder / run_folder.INITIAL_PARAMETERS)
    try:
        return PreviousRun(folder, summary.read(folder), None, [], initial).rebuild(config, None, lambda _: None)
    except DataError as error:
        if error.key not in DATA_PATHS:
            raise
        what = f"cannot load the rows of {folder}: {error.problem}"
        raise DataError(what, describe_place(error, moved), key=error.key) from error
