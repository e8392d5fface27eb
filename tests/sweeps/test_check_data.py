"""Folds and metrics that the rows do not allow are refused once, before a job begins."""

from pathlib import Path

import pytest
from conftest import one_in

from exp import sweep
from exp.errors import ExpError

LINE = "dataset=table dataset.path=data.csv dataset.target=ill epochs=1 figures=false sweep.workers=0".split()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i % 7},{i},{'abc'[i % 3]},{'yn'[i % 2]}" for i in range(30)]
    Path("data.csv").write_text("\n".join(["x,time,team,ill", *rows]) + "\n")
    rare = [f"{i % 7},{i},{'abc'[i % 3]},{'yn'[i not in range(9, 13)]}" for i in range(30)]
    Path("rare.csv").write_text("\n".join(["x,time,team,ill", *rare]) + "\n")


@pytest.mark.parametrize(
    ("words", "message", "key", "override"),
    one_in(
        6,
        [
            ("folds=31", "folds=31: the dataset has 30 rows", "folds", "folds=15"),
            (
                "folds=4 metric=auc dataset.path=rare.csv",
                "validation rows of fold . do not define it",
                "metric",
                "true",
            ),
            ("folds=25", r"every class has fewer rows than folds \(at most 15\)", "folds", "folds=15"),
            ("folds=40", "the dataset has 30 rows", "folds", "folds=15"),
            ("folds=20", r"every class has fewer rows than folds \(at most 15\)", "folds", "folds=15"),
            ("folds=4 dataset.group=team", "folds=4: the dataset has 3 groups", "folds", "folds=3"),
            ("folds=30 dataset.order=time", "folds=30: the dataset has 30 rows", "folds", "folds=29"),
            ("folds=3 dataset.order=tame", "dataset.order=tame: data.csv has no column", "dataset.order", "="),
            ("folds=3 dataset.group=term", "dataset.group=term: data.csv has no column", "dataset.group", "=team"),
            ("folds=3 dataset.target=il", "dataset.target=il: data.csv has no column", "dataset.target", "=ill"),
            (
                "folds=3 dataset.order=time dataset.group=team",
                "cannot have both",
                "dataset.group",
                "dataset.group=null",
            ),
            ("folds=3 metric=f1:yy", "metric=f1:yy: the target has no class 'yy'", "metric", "metric=f1:y"),
            ("seed=0,1 metric=rmse", "metric=rmse: rmse is no metric of classes", "metric", "metric="),
            ("seed=0,1 metric=f1:yy", "metric=f1:yy: the target has no class 'yy'", "metric", "metric=f1:y"),
            ("seed=0,1 'metrics=[auc,f1:yy]'", r"metrics=\[auc,f1:yy\]: the target", "metrics", "metrics=[auc,f1:y]"),
            ("seed=0,1 metric=accuracy,r2", "metric=r2: r2 is no metric of classes", "metric", "metric="),
            (
                "hydra/sweeper=optuna optimizer.lr=interval(0.01,0.1) metric=f1:yy sweep.metric=loss/val",
                "metric=f1:yy: the target has no class 'yy'",
                "metric",
                "metric=f1:y",
            ),
            ("folds=3 model=mlp,linear dataset.group=term", "dataset.group=term", "dataset.group", "=team"),
            ("folds=3 'dataset.order=time,tame'", "dataset.order=tame", "dataset.order", "="),
            (
                "folds=3 hydra/sweeper=optuna optimizer.lr=interval(0.01,0.1) dataset.group=term",
                "dataset.group=term",
                "dataset.group",
                "=team",
            ),
        ],
    ),
)
def test_what_the_rows_do_not_allow_is_refused_before_a_job_begins(words: str, message: str, key: str, override: str):
    typed = words.replace("'", "").split()
    keys = {word.partition("=")[0] for word in typed}
    with pytest.raises(ExpError, match=message) as refused:
        sweep(*(word for word in LINE if word.partition("=")[0] not in keys), *typed, "hydra.sweep.dir=sw")
    assert refused.value.key == key
    assert override in str(refused.value.override)
    assert "in the job" not in refused.value.problem
    assert not Path("sw").exists()


def test_each_choice_of_folds_is_checked_and_then_trained():
    result = sweep(*LINE, "folds=3", "dataset.group=team,null", "hydra.sweep.dir=sw")
    assert set(result.table["status"]) == {"finished"}
    assert len(result.table) == 6
