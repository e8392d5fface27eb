"""Means over repeats, and which choices a sweep cannot tell from the best."""

import csv
import json
import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from exp.results import repeats
from exp.results.job_rows import JobRows, read_job_rows
from exp.results.repeats import (
    find_complete_choices,
    mean_rows,
    name_repeats,
    other_meaning_note,
    sort_means,
    undefined_note,
)
from exp.results.sweep_csv import Row
from exp.results.ties import Ties, find_ties

METRIC = "loss/val"
COUNTS = {"train": 60, "val": 20, "test": 20}


def jobs(results: dict[str, list[float | None]], key: str = "fold", metric: str = METRIC) -> list[Row]:
    """Return the rows of a sweep: for each learning rate its results in repeat 0, 1, ...; None: the job failed."""
    return [
        {"job": f"{lr}-{number}", "status": "failed", "lr": lr, key: str(number)}
        if value is None
        else {"job": f"{lr}-{number}", "status": "finished", "lr": lr, key: str(number), metric: value}
        for lr, values in results.items()
        for number, value in enumerate(values)
    ]


def known(rows: list[Row], one_split: bool = False) -> dict[str, JobRows]:
    """Return the rows of the jobs: each repeat has a split of its own, or all have the same one."""
    return {str(row["job"]): JobRows("" if one_split else str(row["job"])[-1], COUNTS) for row in rows}


def marks(ties: Ties | None, *choices: str) -> list[str]:
    assert ties is not None
    return [ties.mark((choice,)) for choice in choices]


CLEAR = {"0.1": [0.11, 0.10, 0.12, 0.11, 0.10], "1": [0.51, 0.53, 0.52, 0.50, 0.53], "10": [0.9, 0.8, 0.9, 0.7, 0.8]}
CLOSE = {"0.1": [0.31, 0.42, 0.25, 0.38, 0.30], "1": [0.33, 0.40, 0.28, 0.36, 0.34], "10": CLEAR["10"]}


def test_a_clearly_better_choice_is_named():
    rows = jobs(CLEAR)
    ties = find_ties(rows, METRIC, known(rows))
    assert marks(ties, "0.1", "1", "10") == ["yes", "no", "no"]
    assert ties is not None
    assert ties.describe() == (
        "lr=0.1; the other 2 choices are worse (paired t-test over 5 folds, corrected for shared rows, 95 %)"
    )


def test_choices_that_cannot_be_told_from_the_best_are_marked():
    rows = jobs(CLOSE, "seed")
    ties = find_ties(rows, METRIC, known(rows, one_split=True))
    assert marks(ties, "0.1", "1", "10") == ["maybe", "maybe", "no"]
    assert ties is not None
    assert ties.describe() == "one of the 2 marked maybe (paired t-test over 5 seeds of one split, 95 %)"


def test_the_difference_to_the_best_has_the_interval_of_the_corrected_test():
    """By hand, as Nadeau and Bengio have it: over folds the variance is (1/n + n_test/n_train) s^2."""
    rows = jobs({"0.1": CLOSE["0.1"], "1": CLOSE["1"]})
    ties = find_ties(rows, METRIC, known(rows))
    assert ties is not None
    pairs = [two - one for one, two in zip(CLOSE["0.1"], CLOSE["1"], strict=True)]  # type: ignore[operator]
    reach = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 20 / 60) * statistics.variance(pairs))
    mean = statistics.fmean(pairs)
    found = ties.differences[("1",)]
    assert (found.mean, found.interval) == (pytest.approx(mean), pytest.approx((mean - reach, mean + reach)))
    assert ties.describe_next(METRIC) == "lr=1: loss/val +0.01 against the best, 95 % interval -0.05 to 0.07"
    assert [ties.cells(METRIC, (lr,)) for lr in ("0.1", "1")] == [("", ""), ("+0.01", "-0.05 to 0.07")]
    assert (round(mean - reach, 2), round(mean + reach, 2)) == (-0.05, 0.07)


def test_a_higher_score_is_better():
    rows = jobs(CLEAR, metric="accuracy/val")
    assert marks(find_ties(rows, "accuracy/val", known(rows)), "0.1", "1", "10") == ["no", "no", "yes"]


@pytest.mark.parametrize("choices", [2, 3, 6])
def test_the_marks_are_those_of_scipys_test_at_the_corrected_level(choices: int):
    """Of jobs on one split, where the test is the plain one."""
    draw = np.random.default_rng(choices)
    for _ in range(50):
        values = draw.normal(size=(choices, 4)) + draw.normal(size=(choices, 1))
        rows = jobs({f"{number}": list(row) for number, row in enumerate(values.tolist())}, "seed")
        best = values.mean(1).argmin()
        level = min(0.05, 0.1 / (choices - 1))
        ties = find_ties(rows, METRIC, known(rows, one_split=True))
        assert ties is not None
        assert ties.level == 1 - level
        for n in range(choices):
            if n != best:
                difference = ties.differences[(f"{n}",)]
                interval = stats.ttest_rel(values[n], values[best]).confidence_interval(1 - level)
                assert difference.mean == pytest.approx(values[n].mean() - values[best].mean())
                assert difference.interval == pytest.approx((interval.low, interval.high))
        worse = [n != best and stats.ttest_rel(values[best], values[n]).pvalue < level for n in range(choices)]
        alone = sum(worse) == choices - 1
        expected = ["no" if one else "yes" if alone else "maybe" for one in worse]
        assert marks(find_ties(rows, METRIC, known(rows, one_split=True)), *map(str, range(choices))) == expected


def test_pairs_are_of_the_same_repeat_whatever_the_order():
    rows = jobs(CLEAR)
    ties = find_ties(rows, METRIC, known(rows))
    assert find_ties([*rows[:5], *rows[9:4:-1], *rows[10:]], METRIC, known(rows)) == ties


def test_lost_jobs_are_left_out_of_the_pairs():
    rows = jobs({"0.1": [0.11, 0.10, None, 0.11, 0.10], "1": [None, 0.53, 0.52, 0.50, 0.53]})
    ties = find_ties(rows, METRIC, known(rows))
    assert marks(ties, "0.1", "1") == ["yes", "no"]
    assert ties is not None
    assert "over 3 folds" in ties.describe()
    assert [(row["n"], row["lost"]) for row in mean_rows(rows, known(rows))] == [(4, 1), (4, 1)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.1, 0.2, None, None], [None, None, 0.8, 0.9]),  # no pairs
        ([0.1, 0.2, None, None], [None, 0.9, 0.8, None]),  # one pair
        ([0.25, 0.5, 0.75], [0.5, 0.75, 1.0]),  # equal differences
    ],
)
def test_without_a_test_choices_are_tied(first: list[float | None], second: list[float | None]):
    rows = jobs({"0.1": first, "1": second})
    ties = find_ties(rows, METRIC, known(rows))
    assert marks(ties, "0.1", "1") == ["maybe", "maybe"]
    assert ties is not None
    assert ties.describe() == "one of the 2 marked maybe (the folds have no spread to test by)"


def test_a_choice_without_a_finite_mean_is_not_compared():
    rows = jobs({**CLEAR, "1": [0.51, math.inf, 0.5, 0.5, 0.5], "10": [None] * 5})
    assert find_ties(rows, METRIC, known(rows)) is None
    rows = jobs({**CLEAR, "10": [None] * 5})
    assert marks(find_ties(rows, METRIC, known(rows)), "0.1", "1", "10") == ["yes", "no", ""]


def test_a_metric_that_some_jobs_do_not_define_is_averaged_over_the_others_whatever_the_order():
    rows = [{**row, **({"auc/val": 0.5 + n / 10} if n in (1, 2) else {})} for n, row in enumerate(jobs(CLEAR)[:5])]
    note = "means over the jobs whose rows define the metric: auc/val (2 of 5 jobs)"
    for order in (rows, rows[::-1]):
        (row,) = mean_rows(order, known(order))
        assert row["auc/val"] == pytest.approx(0.65)
        assert undefined_note(order) == note
    assert undefined_note(jobs(CLEAR)) is None


def test_without_repeats_there_is_nothing_to_say():
    rows = [{**row} for row in jobs(CLEAR) if row["fold"] == "0"]
    assert (find_ties(rows, METRIC, known(rows)), mean_rows(rows, known(rows)), name_repeats(rows)) == (None, [], "")


def test_seeds_on_the_same_folds_are_averaged():
    """15 jobs on 5 folds are 5 results, or a test would take each fold three times."""
    draw = np.random.default_rng(0)
    losses = draw.normal(size=(2, 5, 3))
    rows = [
        {"job": f"{lr} {fold} {seed}", "status": "finished", "lr": str(lr), "seed": seed, "fold": fold, METRIC: value}
        for (lr, fold, seed), value in np.ndenumerate(losses)
    ]
    of_folds = {str(row["job"]): JobRows(str(row["fold"]), {"train": 75, "val": 25}) for row in rows}
    first, second = mean_rows(rows, of_folds)
    means = losses[0].mean(1)
    reach = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 1 / 3) * means.var(ddof=1))
    assert (first[f"{METRIC} low"], first[f"{METRIC} high"]) == pytest.approx(
        (means.mean() - reach, means.mean() + reach)
    )
    assert (first["n"], second["n"]) == (15, 15)
    assert first[f"{METRIC} std"] == pytest.approx(losses[0].std(ddof=1))
    ties = find_ties(rows, METRIC, of_folds)
    assert ties is not None
    assert "over 5 splits, corrected" in ties.describe()
    other_folds = {str(row["job"]): JobRows(f"{row['fold']} {row['seed']}", {"train": 75, "val": 25}) for row in rows}
    ties = find_ties(rows, METRIC, other_folds)
    assert ties is not None
    assert "over 15 seeds and folds, corrected" in ties.describe()


def test_an_interval_stays_within_the_values_of_its_metric():
    values: list[float | None] = [0.98, 1.0]
    (row,) = mean_rows(rows := jobs({"0.1": values}, metric="accuracy/val"), known(rows))
    assert 0 <= row["accuracy/val low"] < row["accuracy/val high"] == 1.0
    (row,) = mean_rows(rows := jobs({"0.1": [0.1, 0.9]}, metric="rmse/val"), known(rows))
    assert row["rmse/val low"] == 0


def write_sweep(folder: Path, jobs: list[Row], **facts: object) -> None:
    for row in jobs:
        (folder / str(row["job"])).mkdir(parents=True, exist_ok=True)
        split = {"split_sha256": f"split {str(row['job'])[-1]}"}
        content = {"data_sha256": "data", "rows": COUNTS, **split, **facts}
        (folder / str(row["job"]) / "summary.json").write_text(json.dumps(content))


def test_the_table_is_folds_csv_if_folds_vary_and_else_seeds_csv(tmp_path: Path):
    for key, name, other in (("fold", "folds.csv", "seeds.csv"), ("seed", "seeds.csv", "folds.csv")):
        rows = jobs(CLEAR, key)
        write_sweep(tmp_path, rows)
        repeats.write(tmp_path, rows)
        assert not (tmp_path / other).exists()
        with (tmp_path / name).open() as file:
            table = list(csv.DictReader(file))
        assert list(table[0]) == ["lr", "n", "lost", METRIC, f"{METRIC} std", f"{METRIC} low", f"{METRIC} high"]
        for row, values in zip(table, CLEAR.values(), strict=True):
            reach = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 20 / 60) * statistics.variance(values))
            assert float(row[f"{METRIC} high"]) == pytest.approx(statistics.fmean(values) + reach)
    repeats.write(tmp_path, [row for row in rows if row["seed"] == "0"])
    assert not (tmp_path / "seeds.csv").exists()


def test_jobs_of_one_split_have_the_plain_interval(tmp_path: Path):
    rows = jobs({"0.1": CLEAR["0.1"]}, "seed")
    write_sweep(tmp_path, rows, split_sha256="the same")
    (row,) = mean_rows(rows, read_job_rows(tmp_path, rows))
    values = CLEAR["0.1"]
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (row[f"{METRIC} low"], row[f"{METRIC} high"]) == pytest.approx(expected)


def test_of_unknown_rows_nothing_is_said(tmp_path: Path):
    """The folder of a job was removed, or its summary cannot be read."""
    rows = jobs(CLEAR)
    table = mean_rows(rows, read_job_rows(tmp_path, rows))
    assert table[0][f"{METRIC} low"] == ""
    assert marks(find_ties(rows, METRIC, read_job_rows(tmp_path, rows)), "0.1", "1") == ["maybe", "maybe"]
    for damaged in (["damaged"], {"train": "many", "val": 1}, {"train": 0, "val": 1}):
        write_sweep(tmp_path, rows, rows=damaged)
        assert mean_rows(rows, read_job_rows(tmp_path, rows)) == table


@pytest.mark.parametrize("repeats", [3, 5, pytest.param(15, marks=pytest.mark.slow)])
@pytest.mark.parametrize("choices", [2, 5, pytest.param(20, marks=pytest.mark.slow)])
def test_where_nothing_differs_a_winner_is_named_in_at_most_5_percent(choices: int, repeats: int):
    """300 sweeps over folds or splits of the same rows, which share 3 of 4 training rows; benchmarks/null_sweeps.py
    simulates 1,000 of each."""
    draw = np.random.default_rng([choices, repeats])
    ratio = COUNTS["val"] / COUNTS["train"]
    named = left_out = 0
    for _ in range(300 if choices < 20 else 100):
        shared = math.sqrt(ratio) * draw.normal(size=(choices, 1))
        losses = (shared + draw.normal(size=(choices, repeats))).tolist()
        rows = jobs({str(number): list(row) for number, row in enumerate(losses)})
        ties = find_ties(rows, METRIC, {str(row["job"]): JobRows(str(row["fold"]), COUNTS) for row in rows})
        assert ties is not None
        named += len(ties.tied) == 1
        left_out += ties.mark(("0",)) == "no"
    total = 300 if choices < 20 else 100
    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / total)
    assert named / total <= limit
    assert left_out / total <= limit


@pytest.mark.parametrize("key", ["loss", "loss.class_weights", "dataset.scale_target"])
def test_losses_of_different_units_are_not_compared(key: str):
    rows = jobs({"one": [1, 2, 1, 2, 1], "two": [5, 6, 5, 6, 5]})
    for row in rows:
        row |= {key: row.pop("lr"), "rmse/val": 1.0}
    note = other_meaning_note(rows, "loss/val", {})
    assert note is not None
    assert note.endswith("sweep.metric=rmse/val")
    assert find_ties(rows, "loss/val", {}) is None
    assert other_meaning_note(rows, "rmse/val", {}) is None
    assert other_meaning_note(jobs({"0.1": [1.0, 2.0], "0.2": [1.0, 3.0]}), "loss/val", {}) is None


@pytest.mark.parametrize(
    ("key", "field", "metric", "note"),
    [
        ("experiment", "loss", "loss/val", "loss/val has another unit for each loss, so its order says nothing"),
        ("dataset.task", "loss", "loss/val", "loss/val has another unit for each loss, so its order says nothing"),
        ("experiment", "loss", "accuracy/val", None),
        ("dataset", "target", "accuracy/val", "of other rows or another target for each dataset, so"),
        ("experiment", "dataset", "accuracy/val", "of other rows or another target for each dataset, so"),
        ("dataset.target", "target", "loss/val", "of other rows or another target for each dataset.target, so"),
        ("dataset.columns", "target", "loss/val", None),  # a split that is divided by a column, say
    ],
)
def test_metrics_of_other_datasets_targets_and_losses_are_not_compared(
    key: str, field: str, metric: str, note: str | None
):
    """An experiment, or what is decided for loss=auto, changes them without a key of theirs."""
    rows = [{key: row.pop("lr"), **row} for row in jobs({"one": [1, 2, 1], "two": [5, 6, 5]}, "seed", metric)]
    fields = (field, "target") if field == "dataset" else (field,)
    one = JobRows("", COUNTS)
    two = replace(one, **dict.fromkeys(fields, "other"))
    of_jobs = {str(row["job"]): two if row[key] == "two" else one for row in rows}
    found = other_meaning_note(rows, metric, of_jobs)
    assert (found is None) == (note is None)
    assert note is None or (found is not None and note in found)
    assert (find_ties(rows, metric, of_jobs) is None) == (note is not None)


def test_a_test_of_choices_with_one_split_each_says_that_it_may_be_the_difference():
    rows = [{"+dataset.seed": row.pop("lr"), **row} for row in jobs({"0": [1, 2, 1.5], "1": [5, 6, 5.2]}, "seed")]
    of_jobs = {str(row["job"]): JobRows(f"data {row['+dataset.seed']}", COUNTS) for row in rows}
    ties = find_ties(rows, METRIC, of_jobs)
    assert ties is not None
    test = "paired t-test over 3 seeds of one split, another one for each choice, which may be the difference, 95 %"
    assert ties.describe() == f"+dataset.seed=0; the other choice is worse ({test})"


def test_a_choice_that_is_ahead_in_the_shared_repeats_is_not_worse():
    """Each lost another fold, and that of the best by its mean was the hard one. SciPy's test over the other folds."""
    one, two = [None, 0.5, 0.5, 0.5, 0.5], [0.1, 0.52, 0.52, 0.53, None]
    for metric, sign in ((METRIC, 1.0), ("accuracy/val", -1.0)):
        results = {"1": [value and sign * value for value in one], "2": [value and sign * value for value in two]}
        rows = jobs(results, metric=metric)
        assert stats.ttest_rel([sign * 0.5] * 3, [sign * value for value in two[1:4]]).pvalue < 0.05  # type: ignore[operator]
        ties = find_ties(rows, metric, known(rows, one_split=True))
        assert marks(ties, "1", "2") == ["maybe", "maybe"]
        assert ties is not None
        assert ties.best == "lr=2"


def test_a_choice_that_lost_jobs_is_not_compared_and_comes_last():
    """The mean of those of its repeats that are left may be too good: `exp best` does not choose it either."""
    rows = jobs({**CLEAR, "100": [0.01, None, None, None, 0.01]})
    assert marks(find_ties(rows, METRIC, known(rows)), "0.1", "1", "10", "100") == ["yes", "no", "no", ""]
    means = sort_means(mean_rows(rows, known(rows)), METRIC)
    assert [row["lr"] for row in means] == ["0.1", "1", "10", "100"]
    assert {choice[0] for choice in find_complete_choices(rows)} == set(CLEAR)


def test_a_mean_is_the_middle_of_its_interval_where_a_fold_lost_a_seed():
    """Fold 0 has two seeds and the others have one: each fold counts once."""
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (2, 0): 6.0}
    rows: list[Row] = [
        {"job": f"{seed}-{fold}", "status": "finished", "seed": str(seed), "fold": str(fold), METRIC: value}
        for (fold, seed), value in values.items()
    ]
    (row,) = mean_rows(rows, known(rows))
    assert row[METRIC] == pytest.approx((2 + 5 + 6) / 3)
    assert (float(str(row[f"{METRIC} low"])) + float(str(row[f"{METRIC} high"]))) / 2 == pytest.approx((2 + 5 + 6) / 3)


def test_the_loss_and_the_target_of_a_job_are_those_of_its_summary(tmp_path: Path):
    """Other columns have the same target, and `auto` is what was decided."""
    run = {"status": "finished", "choices": {"dataset": "a", "loss": "auto"}, "split_sha256": "s", "data_sha256": "d"}
    baseline = {"name": "always no", "split": "test", "metrics": {"accuracy": 0.6}}
    contents = [
        run | {"decided": {"loss": "mse"}, "baseline": baseline},
        run | {"decided": {"loss": "cross_entropy"}, "baseline": baseline | {"metrics": {"accuracy": 0.7}}},
        run | {"choices": {"dataset": "b", "loss": "l1"}, "data_sha256": "e", "baseline": baseline},
        run | {"baseline": {"name": "always no"}},
    ]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "summary.json").write_text(json.dumps(content))
    found = read_job_rows(tmp_path, [{"job": str(number), "status": "finished"} for number in range(4)])
    assert [one.loss for one in found.values()] == ["mse", "cross_entropy", "l1", "auto"]
    assert [one.dataset for one in found.values()] == ["a", "a", "b", "a"]
    first, second, third, fourth = (one.target for one in found.values())
    assert first == third != second
    assert fourth == "d"
