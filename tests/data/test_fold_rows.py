"""What a cross-validation refuses: rows that cannot be divided so, and keys that do not fit together."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import config_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from exp.config.cross_validation import refuse_all_folds
from exp.data.assign_rows import assign_fold
from exp.data.dataset import Dataset, as_dataset
from exp.data.folds import Fold, describe_rare_classes, fold_rows
from exp.data.prepare import prepare
from exp.errors import ConfigError

SPLIT = [0.6, 0.2, 0.2]


def of_classes(rows: int = 30, classes: int = 3) -> Dataset:
    return as_dataset((np.arange(2.0 * rows).reshape(rows, 2), np.arange(rows) % classes))


def of_numbers(rows: int = 30) -> Dataset:
    return as_dataset((np.arange(2.0 * rows).reshape(rows, 2), np.arange(float(rows))))


def test_the_parts_of_all_folds_are_the_rows():
    dataset = of_classes()
    parts = [assign_fold(dataset, Fold(number, 3), SPLIT, 0, None) for number in range(3)]
    assert sorted(np.concatenate([test for *_, test in parts])) == list(range(30))
    for train, val, test in parts:
        assert sorted(np.concatenate([train, val, test])) == list(range(30))
        assert (len(train), len(val)) == (15, 5)
        assert np.bincount(dataset.y[test].astype(int)).tolist() in ([3, 3, 4], [3, 4, 3], [4, 3, 3])


@pytest.mark.filterwarnings("ignore:The least populated class")
@given(st.lists(st.integers(0, 4), min_size=6, max_size=80), st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=70)
def test_folds_are_scikit_learns(y: list[int], folds: int, seed: int):
    y = [*y, *[0] * folds, 1]  # at least two classes, one of them with enough rows
    dataset = as_dataset((np.zeros((len(y), 1)), np.array(y)))
    for stratify, splitter in ((False, KFold), (True, StratifiedKFold)):
        expected = splitter(folds, shuffle=True, random_state=seed).split(dataset.x, dataset.y)
        for number, parts in enumerate(expected):
            for ours, theirs in zip(fold_rows(dataset, Fold(number, folds), seed, stratify), parts, strict=True):
                assert ours.dtype == theirs.dtype
                assert ours.tolist() == theirs.tolist()


def test_groups_are_never_divided():
    groups = np.repeat(np.arange(10), 3)
    dataset = replace(of_numbers(), groups=groups)
    for number in range(4):
        parts = assign_fold(dataset, Fold(number, 4), SPLIT, 0, None)
        of_part = [set(groups[part]) for part in parts]
        assert not of_part[0] & of_part[1] | of_part[0] & of_part[2] | of_part[1] & of_part[2]


def test_a_fold_in_time_is_after_its_training_rows():
    order = np.random.default_rng(0).permutation(30).astype(float)
    for number in range(3):
        train, val, test = assign_fold(replace(of_numbers(), order=order), Fold(number, 3), SPLIT, 0, None)
        assert order[train].max() < order[val].min() <= order[val].max() < order[test].min()


@pytest.mark.parametrize(
    ("dataset", "fold", "stratify", "message"),
    [
        (of_classes(4), Fold(0, 5), None, "folds=5: the dataset has 4 rows"),
        (replace(of_numbers(), groups=np.arange(30) % 2), Fold(0, 3), None, "folds=3: the dataset has 2 groups"),
        (replace(of_numbers(3), order=np.arange(3.0)), Fold(0, 3), None, "folds=3: the dataset has 3 rows"),
        (of_classes(6, 3), Fold(0, 3), None, "folds=3: every class has fewer rows than folds"),
        (
            replace(of_numbers(), parts=np.zeros(30, dtype=np.int8)),
            Fold(0, 3),
            None,
            "are given by dataset.split_column",
        ),
        (replace(of_numbers(), order=np.arange(30.0)), Fold(0, 3, 2), None, "no randomness to repeat"),
        (of_numbers(), Fold(0, 3), True, "dataset.stratify=true needs classes"),
        (replace(of_classes(), order=np.arange(30.0)), Fold(0, 3), True, "cannot be combined with dataset.order"),
    ],
)
def test_rows_that_cannot_be_divided_so_are_refused(dataset: Dataset, fold: Fold, stratify: bool | None, message: str):
    with pytest.raises(ConfigError) as error:
        assign_fold(dataset, fold, SPLIT, 0, stratify)
    assert message in error.value.problem
    assert error.value.fix


def test_classes_with_fewer_rows_than_folds_are_noted():
    dataset = as_dataset((np.arange(60.0).reshape(30, 2), np.array(["no"] * 26 + ["yes"] * 4)))
    assert describe_rare_classes(dataset, Fold(0, 4)) == []
    (note,) = prepare(dataset, SPLIT, "none", 0, fold=Fold(0, 5)).notes
    assert note == "classes with fewer rows than folds=5: 'yes' (4); not every fold has them in its test rows"


def test_a_split_that_does_not_sum_to_one_is_refused():
    with pytest.raises(ConfigError, match="must be three fractions with sum 1"):
        assign_fold(of_numbers(), Fold(0, 3), [0.6, 0.2, 0.9], 0, None)


def test_order_and_groups_exclude_each_other():
    dataset = replace(of_numbers(), order=np.arange(30.0), groups=np.arange(30) % 5)
    with pytest.raises(ConfigError, match="cannot have both"):
        assign_fold(dataset, Fold(0, 3), SPLIT, 0, None)


TABLE = ["dataset=table", "dataset.path=t.csv", "dataset.target=y"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fold=1"], "fold=1 needs the number of folds"),
        (["folds=3", "fold=3"], "fold must be an integer from 0 to 2 with folds=3, got 3"),
        (["folds=3", "fold_repeats=2", "fold=6"], "from 0 to 5 with folds=3 fold_repeats=2, got 6"),
        (["folds=1", "fold=0"], "folds must be an integer >= 2, or null, got 1"),
        ([*TABLE, "folds=3", "dataset.order=t", "dataset.group=g"], "cannot have both dataset.order and dataset.group"),
        ([*TABLE, "folds=3", "dataset.order=t", "fold_repeats=2"], "no randomness to repeat"),
        ([*TABLE, "folds=3", "dataset.test_path=t.csv"], "dataset.test_path=t.csv: folds=3 chooses the rows"),
        ([*TABLE, "folds=3", "dataset.val_path=t.csv"], "this key gives the rows for validation"),
        ([*TABLE, "folds=3", "dataset.split_column=p"], "dataset.split_column=p: folds=3 chooses the rows"),
        ([*TABLE, "dataset.stratify=true", "dataset.group=g"], "cannot be combined with dataset.group"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(words: list[str], message: str):
    with pytest.raises(ConfigError) as error:
        config_of(*words)
    assert message in error.value.problem


def test_a_run_is_one_fold():
    with pytest.raises(ConfigError, match="folds=3: a cross-validation is a sweep"):
        refuse_all_folds(config_of("folds=3"))
    refuse_all_folds(config_of("folds=3", "fold=2"))
