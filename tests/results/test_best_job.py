"""The best choice of a sweep, from the files of hand-written sweeps."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from exp.errors import ConfigError
from exp.results import search_json, sweep_csv
from exp.results.best_job import choose_jobs, find_best
from exp.results.listing import list_runs
from exp.results.listing_rows import list_rows
from exp.results.refit_line import count_trained_epochs, refit_overrides
from exp.results.resume_line import describe_resume
from exp.results.run_folder import CONFIG, HYDRA_SETTINGS, MULTIRUN, OVERRIDES, SUMMARY, SWEEP_MANIFEST
from exp.results.search_json import SearchRecord

CONFIG_OF_A_JOB = {
    "dataset": {"_target_": "sklearn.datasets.load_wine", "split": [0.6, 0.2, 0.2], "train_on_val": False},
    "scheduler": {"_target_": None},
    "batching": {"batch_size": 10, "drop_last": False},
    "early_stopping": {"restore_best": False},
    "epochs": 20,
    "eval_every": "auto",
    "folds": None,
}


def write_sweep(folder: Path, jobs: Sequence[tuple[str, Any]], metric: str = "loss/val", **config: Any) -> Path:
    """Write a sweep whose jobs have these overrides, and this value of the metric or this status."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MULTIRUN).write_text(f"hydra: {{}}\nmetric: loss\nsweep:\n  metric: {metric}\n")
    name, _, split = ("loss/val" if "$" in metric else metric).rpartition("/")
    for number, (overrides, value) in enumerate(jobs):
        finished = {"status": "finished", "final": {split: {name: value}}, "planned_steps": 400, "steps": 400}
        write_job(folder / str(number), overrides, {"status": value} if isinstance(value, str) else finished, config)
    return folder


def write_job(folder: Path, overrides: str, content: dict[str, Any], config: dict[str, Any]) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / OVERRIDES).write_text(json.dumps(overrides.split()))
    (folder / CONFIG).write_text(json.dumps(CONFIG_OF_A_JOB | config))
    (folder / HYDRA_SETTINGS).write_text("{}")
    (folder / SUMMARY).write_text(json.dumps({"overrides": overrides.split(), **content}))


def names(jobs: Sequence[Path]) -> list[str]:
    return [job.name for job in jobs]


def test_the_best_job_has_the_lowest_loss_and_the_first_one_wins_a_tie(tmp_path: Path):
    jobs = [("optimizer.lr=1", 0.5), ("optimizer.lr=2", 0.2), ("optimizer.lr=3", 0.2), ("optimizer.lr=4", "failed")]
    best = find_best(write_sweep(tmp_path, jobs))
    assert (names(best.jobs), best.value, best.overrides) == (["1"], 0.2, ["optimizer.lr=2"])
    assert str(best) == "job 1: loss/val 0.2, the lowest of 3 choices"


def test_a_higher_accuracy_is_better(tmp_path: Path):
    jobs = [("optimizer.lr=1", 0.5), ("optimizer.lr=2", 0.75)]
    best = find_best(write_sweep(tmp_path, jobs, "accuracy/test"))
    assert str(best) == "job 1: accuracy/test 75.00 %, the highest of 2 choices"


def test_the_metric_of_the_sweep_may_refer_to_that_of_its_jobs(tmp_path: Path):
    assert find_best(write_sweep(tmp_path, [("optimizer.lr=1", 0.5)], "${metric}/val")).metric == "loss/val"


def test_a_job_of_a_cross_validation_is_named_by_its_fold_too(tmp_path: Path):
    """Several jobs have the same seed, and the fold of the first one is not that of the sweep."""
    of_both = [(f"folds=2 seed={seed} fold={fold}", 0.5) for seed in (0, 1) for fold in (0, 1)]
    sweep = write_sweep(tmp_path / "cv", of_both, folds=2, fold=0, seed=0)
    assert choose_jobs(str(sweep))[1][-1] == "uses job 0 (seed=0, fold=0)"
    (sweep / SWEEP_MANIFEST).write_text(json.dumps({"varied": ["fold", "seed"]}))
    write_job(tmp_path / "run", "seed=3", {"status": "finished"}, {"seed": 3})
    head, *rows = list_rows(list_runs(tmp_path))
    assert "fold" not in head
    assert {Path(row[0]).name: row[head.index("seed")] for row in rows} == {"cv": "", "run": "3"}


def test_seeds_are_averaged_and_left_out_of_the_command(tmp_path: Path):
    jobs = [
        ("dataset=wine optimizer.lr=1 seed=10", 0.1),  # the best job, but not of the best choice
        ("dataset=wine optimizer.lr=1 seed=9", 0.9),
        ("dataset=wine optimizer.lr=2 seed=10", 0.3),
        ("dataset=wine optimizer.lr=2 seed=9", 0.4),
    ]
    best = find_best(write_sweep(tmp_path, jobs))
    assert names(best.jobs) == ["3", "2"]  # by seed, as numbers
    assert best.value == pytest.approx(0.35)
    assert best.overrides == ["dataset=wine", "optimizer.lr=2"]
    assert str(best) == "jobs 3, 2: loss/val 0.35, mean of 2 seeds, the lowest of 2 choices (1 other may be as good)"


def test_folds_are_averaged_and_left_out_of_the_command(tmp_path: Path):
    jobs = [
        (
            f"dataset=wine optimizer.lr={lr} folds=2 fold_repeats=1 seed={seed} fold={fold}",
            lr + 0.01 * fold + 0.1 * seed,
        )
        for lr in (1, 2)
        for fold in (1, 0)
        for seed in (1, 0)
    ]
    best = find_best(write_sweep(tmp_path, jobs))
    assert names(best.jobs) == ["3", "1", "2", "0"]  # by seed, then by fold
    assert best.overrides == ["dataset=wine", "optimizer.lr=1"]
    assert str(best).startswith("jobs 3, 1, 2, 0: loss/val 1.055, mean of 4 jobs, the lowest of 2 choices")


def test_a_seed_that_does_not_vary_is_kept(tmp_path: Path):
    best = find_best(write_sweep(tmp_path, [("optimizer.lr=1 seed=7", 0.5), ("optimizer.lr=2 seed=7", 0.4)]))
    assert best.overrides == ["optimizer.lr=2", "seed=7"]


def test_a_choice_with_fewer_finished_seeds_is_not_compared(tmp_path: Path):
    """Its seeds that diverged have no loss, so the mean of the others would be too good."""
    jobs = [
        ("optimizer.lr=1 seed=0", 0.3),
        ("optimizer.lr=1 seed=1", 0.4),
        ("optimizer.lr=2 seed=0", 0.01),
        ("optimizer.lr=2 seed=1", "diverged"),
        ("optimizer.lr=3 seed=0", "pruned"),
        ("optimizer.lr=3 seed=1", "pruned"),
    ]
    best = find_best(write_sweep(tmp_path, jobs))
    assert str(best) == "jobs 0, 1: loss/val 0.35, mean of 2 seeds (1 more with fewer finished jobs)"


def plan(folder: Path, *names: str) -> None:
    """Write the record of all jobs that a sweep planned."""
    (folder / "sweep.json").write_text(json.dumps({"folders": {f"key {name}": name for name in names}}))


def test_jobs_that_a_killed_sweep_did_not_finish_are_counted(tmp_path: Path):
    jobs = [("optimizer.lr=1", 0.3), ("optimizer.lr=2", "running"), ("optimizer.lr=3", "failed")]
    folder = write_sweep(tmp_path, [*jobs, ("optimizer.lr=4", "diverged")])
    plan(folder, *"0123456")
    (warning,) = find_best(folder).warnings
    counts = "of 7 jobs: 1 finished, 1 failed, 1 died, 1 diverged, 3 unfinished"
    assert warning == f"{counts}; for the others: python -m exp -m sweep.resume={folder}"
    plan(folder, "0", "3")
    for name in "12":
        shutil.rmtree(folder / name)
    assert find_best(folder).warnings == ()  # a diverged job is not run again


def test_the_line_that_resumes_a_sweep_has_the_settings_of_its_cluster_without_shell_commands(tmp_path: Path):
    (tmp_path / "cluster").mkdir()
    typed = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=long", "hydra.launcher.setup=[rm]"]
    more = ["hydra.launcher.additional_parameters.x=1", "hydra.launcher._target_=a.b", "hydra.job.chdir=false"]
    settings = {"overrides": {"hydra": [*typed, *more], "task": []}, "sweeper": {}}
    (tmp_path / "cluster" / MULTIRUN).write_text(json.dumps({"hydra": settings}))
    resume = f"python -m exp -m sweep.resume={tmp_path}/cluster"
    assert describe_resume(tmp_path / "cluster") == f"{resume} {typed[0]} {typed[1]}"
    settings["overrides"]["hydra"] = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    (tmp_path / "cluster" / MULTIRUN).write_text(json.dumps({"hydra": settings}))
    assert describe_resume(tmp_path / "cluster") == resume


def as_search(folder: Path, storage: str = "null") -> Path:
    """Make a written sweep a search with six trials."""
    sweeper = f"{{_target_: hydra_plugins.exp_plugins.OptunaSweeper, n_trials: 6, storage: {storage}}}"
    overrides = "{task: ['optimizer.lr=interval(0.1,1)'], hydra: [hydra.sweeper.n_trials=6]}"
    sources = "{config_sources: []}"
    settings = f"{{sweeper: {sweeper}, overrides: {overrides}, runtime: {sources}}}"
    (folder / MULTIRUN).write_text(f"hydra: {settings}\nsweep: {{metric: loss/val}}\n")
    return folder


def test_a_killed_search_without_a_storage_cannot_be_resumed(tmp_path: Path):
    folder = as_search(write_sweep(tmp_path, [("optimizer.lr=1", 0.3), ("optimizer.lr=2", "running")]))
    plan(folder, *"01")
    (warning,) = find_best(folder).warnings
    assert warning == ("of 2 jobs: 1 finished, 1 died; a search can only be resumed with hydra.sweeper.storage")


def record(folder: Path, best_folder: Path | str, value: float = 0.1, trials: int = 6) -> None:
    search_json.write(folder, SearchRecord("loss/val", "minimize", trials, value, best_folder=str(best_folder)))


def test_the_best_job_of_a_continued_search_is_in_the_folder_of_the_best_trial(tmp_path: Path):
    first = as_search(write_sweep(tmp_path / "a", [("optimizer.lr=1", 0.1), ("optimizer.lr=2", 0.2)]), "study.log")
    second = as_search(write_sweep(tmp_path / "b", [("optimizer.lr=3", 0.3)]), "study.log")
    record(first, first)
    record(second, first)
    assert find_best(first).warnings == ()
    found = find_best(second)
    assert (found.jobs, found.sweep) == ((first / "0",), first)
    assert found.warnings == (f"the best of the study's 6 trials is in {first}",)
    assert choose_jobs(str(second))[1][0].startswith(f"{first}: job 0: loss/val 0.1, ")
    shutil.rmtree(first)
    found = find_best(second)
    assert found.jobs == (second / "0",)
    better = f"a trial of the study that is not in {second} was better, with loss/val 0.1"
    assert found.warnings == (f"{better} (it began in {first})",)
    record(second, "")
    assert find_best(second).warnings == (better,)


def test_a_killed_search_whose_study_was_continued_to_its_end_has_nothing_left(tmp_path: Path):
    folder = as_search(write_sweep(tmp_path, [("optimizer.lr=1", 0.1), ("optimizer.lr=2", "running")]), "study.log")
    plan(folder, *"01")
    record(folder, folder, trials=5)
    (warning,) = find_best(folder).warnings
    assert "1 died; for the others: " in warning
    record(folder, folder, trials=6)
    assert find_best(folder).warnings == ()


@pytest.mark.parametrize(("metric", "value"), [("loss/val", 0.2), ("accuracy/val", 0.75)])
def test_a_better_job_whose_folder_is_missing_is_named(metric: str, value: float, tmp_path: Path):
    jobs = [("optimizer.lr=1", 0.5), ("optimizer.lr=2", value), ("optimizer.lr=3", 0.5)]
    folder = write_sweep(tmp_path, jobs, metric)
    plan(folder, *"012")
    sweep_csv.update(folder)
    assert find_best(folder).warnings == ()
    shutil.rmtree(folder / "1")
    assert find_best(folder).jobs == (folder / "0",)
    shown = {"loss/val": "0.2", "accuracy/val": "75.00 %"}[metric]
    what = "the folder of job 1 is missing, and not compared"
    assert find_best(folder).warnings == (f"{what}; job 1 was better, with {metric} {shown}",)
    shutil.rmtree(folder / "2")
    what = "the folders of jobs 1, 2 are missing, and not compared"
    assert find_best(folder).warnings == (f"{what}; job 1 was better, with {metric} {shown}",)


@pytest.mark.parametrize("typed", ["", " folds=3"])
def test_the_jobs_of_a_preset_with_folds_are_trained_without_them(typed: str, tmp_path: Path):
    preset = tmp_path / "mine/experiment/folded.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\nfolds: 5\n")
    sweep = write_sweep(tmp_path / "sweep", [(f"experiment=folded{typed} fold=0", 0.5)], folds=5)
    sources = [{"provider": "command-line", "path": str(tmp_path / "mine")}]
    (sweep / "0" / HYDRA_SETTINGS).write_text(json.dumps({"hydra": {"runtime": {"config_sources": sources}}}))
    assert find_best(sweep).overrides == ["experiment=folded", "folds=null"]


@pytest.mark.parametrize(
    ("jobs", "message", "fix"),
    [
        ([], "no job finished (no jobs)", "python -m exp -m sweep.resume="),
        ([("seed=0", "failed"), ("seed=1", "running")], "no job finished (1 failed, 1 died)", "sweep.resume="),
        ([("seed=0", "diverged"), ("seed=1", "diverged")], "no job finished (2 diverged)", "a new sweep"),
    ],
)
def test_a_sweep_without_finished_jobs_is_an_error(jobs: Any, message: str, fix: str, tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        find_best(write_sweep(tmp_path, jobs))
    assert message in refused.value.problem
    assert fix in refused.value.fix


def test_a_metric_that_no_job_has_is_an_error(tmp_path: Path):
    folder = write_sweep(tmp_path, [("seed=0", 0.5)])
    (folder / MULTIRUN).write_text("hydra: {}\nsweep:\n  metric: auc/val\n")
    with pytest.raises(ConfigError, match=r"no finished job has the sweep.metric auc/val \(available: loss/val\)"):
        find_best(folder)


def test_a_metric_that_the_rows_of_some_jobs_do_not_define_is_told_from_one_that_no_job_has(tmp_path: Path):
    write_sweep(tmp_path, [("optimizer.lr=1 seed=0", 0.3), ("optimizer.lr=1 seed=1", 0.4)], "auc/val")
    final = json.dumps({"overrides": ["optimizer.lr=1", "seed=1"], "status": "finished", "final": {"val": {"loss": 1}}})
    (tmp_path / "1" / SUMMARY).write_text(final)
    what = (
        r"auc/val is defined by the rows of 1 of 2 finished jobs, and of no choice by those of all \(available: none\)"
    )
    with pytest.raises(ConfigError, match=what):
        find_best(tmp_path)


def test_other_folders_are_refused(tmp_path: Path):
    folder = write_sweep(tmp_path / "sweep", [("seed=0", 0.5)])
    with pytest.raises(ConfigError) as run:
        find_best(folder / "0")
    assert run.value.problem == f"{folder}/0 is a run, not a sweep"
    assert run.value.fix == f"its sweep, {folder}"
    with pytest.raises(ConfigError, match="nowhere does not contain a sweep"):
        find_best(tmp_path / "nowhere")
    (folder / MULTIRUN).write_text("{")
    with pytest.raises(ConfigError, match=r"multirun.yaml cannot be read"):
        find_best(folder)


def test_a_sweep_from_someone_else_cannot_change_hydras_settings(tmp_path: Path):
    best = find_best(write_sweep(tmp_path, [("+hydra.job.env_set.PATH=. dataset=wine", 0.5)]))
    with pytest.raises(ConfigError, match=r"hydra.job.env_set.PATH is set by"):
        refit_overrides(best)


def test_a_command_that_no_version_knows_is_an_error(tmp_path: Path):
    best = find_best(write_sweep(tmp_path, [("dataset=vine", 0.5)]))
    with pytest.raises(ConfigError, match=r"0/.hydra/overrides.yaml: .*Could not find 'dataset/vine'"):
        refit_overrides(best)


def refitted(folder: Path, *jobs: str, content: Any = (), **config: Any) -> list[str]:
    sweep = write_sweep(folder, [(job, 0.5) for job in jobs], **config)
    for number in range(len(jobs)):
        path = sweep / str(number) / SUMMARY
        path.write_text(json.dumps(json.loads(path.read_text()) | {"rows": {"train": 106, "val": 35}} | dict(content)))
    return refit_overrides(find_best(sweep))


USUAL = ["dataset.train_on_val=true", "epochs=20", "early_stopping.patience=null", "early_stopping.restore_best=false"]


def test_a_refit_trains_on_all_rows_for_as_long(tmp_path: Path):
    words = "optimizer.lr=1 early_stopping.patience=3 epochs=20"
    assert refitted(tmp_path, words) == ["optimizer.lr=1", *USUAL]


def test_a_refit_ends_at_the_best_evaluation_of_each_seed_on_average(tmp_path: Path):
    sweep = write_sweep(tmp_path, [("seed=0", 0.5), ("seed=1", 0.5), ("seed=2", 0.5)])
    for number, step in enumerate((41, 100, 0)):  # of 20 steps per epoch: after 2.05, 5 and 0 epochs
        path = sweep / str(number) / SUMMARY
        path.write_text(json.dumps(json.loads(path.read_text()) | {"restored_step": step, "steps": 160}))
    assert [count_trained_epochs(sweep / name) for name in "012"] == [3, 5, 1]
    assert "epochs=3" in refit_overrides(find_best(sweep))


def test_a_run_that_stopped_early_with_its_last_parameters_is_refitted_for_as_long(tmp_path: Path):
    assert "epochs=8" in refitted(tmp_path, "early_stopping.patience=3", content={"steps": 160})


def test_what_the_rows_decided_is_kept(tmp_path: Path):
    content = {"decided": {"epochs": 40, "batching.batch_size": 32, "loss": "mse"}}
    expected = ["dataset.train_on_val=true", "epochs=40", *USUAL[2:], "batching.batch_size=32"]
    assert refitted(tmp_path, "dataset=wine", content=content, epochs="auto") == ["dataset=wine", *expected]


@pytest.mark.parametrize(
    ("scheduler", "more"),
    [
        ({"T_max": None}, ["scheduler.T_max=20"]),
        pytest.param(
            {"T_max": None, "every": "step"}, ["scheduler.T_max=300"], marks=pytest.mark.slow
        ),  # 141 rows are 15 steps
        pytest.param(
            {"T_max": None, "every": "evaluation"}, ["scheduler.T_max=20", "eval_every=1epoch"], marks=pytest.mark.slow
        ),
        ({"total_steps": None, "every": "step"}, ["scheduler.total_steps=300"]),
        pytest.param({"total_steps": None}, ["scheduler.total_steps=20"], marks=pytest.mark.slow),
        pytest.param({"T_max": 7}, [], marks=pytest.mark.slow),
        pytest.param({"step_size": 10}, [], marks=pytest.mark.slow),
        pytest.param({"step_size": 10, "every": "evaluation"}, ["eval_every=1epoch"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_schedule_keeps_the_length_of_the_best_job(scheduler: dict[str, Any], more: list[str], tmp_path: Path):
    node = {"_target_": "torch.optim.lr_scheduler.Any", **scheduler}
    words = refitted(tmp_path, "scheduler=step", content={"restored_step": 61}, scheduler=node)
    assert words == ["scheduler=step", USUAL[0], "epochs=4", *USUAL[2:], *more]


def test_a_dataset_of_a_users_own_gets_the_key(tmp_path: Path):
    dataset = {"_target_": "ours.rows", "split": [0.6, 0.2, 0.2]}
    assert refitted(tmp_path, "dataset=wine", dataset=dataset)[1] == "++dataset.train_on_val=true"


def test_without_validation_rows_there_are_none_to_add(tmp_path: Path):
    dataset = {"_target_": "sklearn.datasets.load_wine", "split": None, "train_on_val": False}
    assert refitted(tmp_path / "null", "dataset=wine", dataset=dataset) == ["dataset=wine", *USUAL[1:]]
    assert refitted(tmp_path, "dataset=wine", content={"rows": {"train": 9}}) == ["dataset=wine", *USUAL[1:]]


def test_a_plateau_scheduler_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="lowers the learning rate by the validation rows") as refused:
        refitted(tmp_path, "seed=0", "seed=1", scheduler={"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"})
    assert refused.value.fix.endswith("out=predictions.csv ensemble=true")
