from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from exp.data import batches as batches_module
from exp.data.batches import Batches
from exp.data.mapped import maps
from exp.data.splits import Split
from exp.data.stack import Batch
from exp.errors import ConfigError


def make_split(n: int, features: int = 3) -> Split:
    return Split(torch.arange(n * features, dtype=torch.float32).reshape(n, features), torch.arange(n))


def take(batches: Batches, steps: int) -> list[Batch]:
    return list(chain.from_iterable(batches.stream().take(steps)))


sizes = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.none() | st.integers(1, n)))


@settings(max_examples=50)
@given(sizes, st.booleans(), st.booleans(), st.integers(0, 2**32), st.integers(1, 3))
def test_batches_equal_those_of_a_dataloader(size, shuffle: bool, drop_last: bool, seed: int, features: int):
    n, batch_size = size
    split = make_split(n, features)
    batches = Batches(split, batch_size, shuffle, drop_last)
    loader = DataLoader(TensorDataset(split.x, split.y), batch_size or n, shuffle=shuffle, drop_last=drop_last)
    torch.manual_seed(seed)
    expected = [batch for _ in range(3) for batch in loader]
    torch.manual_seed(seed)
    batch_list = take(batches, len(expected))
    assert len(expected) == 3 * batches.steps_per_epoch
    for (x, y), (expected_x, expected_y) in zip(batch_list, expected, strict=True):
        assert torch.equal(x, expected_x)
        assert torch.equal(y, expected_y)


def test_an_epoch_of_many_values_is_copied_a_part_at_a_time(monkeypatch):
    """A copy of all training rows would take as much memory again."""
    monkeypatch.setattr(batches_module, "_MAX_VALUES", 50)
    split = make_split(23)
    batches = Batches(split, 5, shuffle=True, drop_last=False)
    torch.manual_seed(0)
    assert [sum(stack.x.shape[:2].numel() for stack in part) for part in batches.epoch()] == [15, 8]
    torch.manual_seed(0)
    expected = list(DataLoader(TensorDataset(split.x, split.y), 5, shuffle=True))
    torch.manual_seed(0)
    for (x, y), (expected_x, expected_y) in zip(take(batches, len(expected)), expected, strict=True):
        assert torch.equal(x, expected_x)
        assert torch.equal(y, expected_y)


@given(sizes, st.booleans())
def test_an_epoch_visits_every_row_once(size, shuffle: bool):
    n, batch_size = size
    batches = Batches(make_split(n), batch_size, shuffle, drop_last=False)
    seen = torch.cat([y for _, y in take(batches, batches.steps_per_epoch)])
    assert sorted(seen.tolist()) == list(range(n))


@given(sizes, st.booleans(), st.integers(0, 100))
def test_a_position_counts_the_samples_of_the_stream(size, drop_last: bool, step: int):
    n, batch_size = size
    batches = Batches(make_split(n), batch_size, shuffle=False, drop_last=drop_last)
    position = batches.position(step)
    assert position.samples == sum(len(y) for _, y in take(batches, step))
    assert position.epoch == pytest.approx(step / batches.steps_per_epoch)


@given(sizes, st.integers(1, 33))
def test_every_batch_is_aligned_like_a_new_tensor(size, features: int):
    n, batch_size = size
    batches = Batches(make_split(n, features), batch_size, shuffle=True, drop_last=False)
    for x, y in take(batches, batches.steps_per_epoch):
        assert x.is_contiguous()
        assert x.data_ptr() % 64 == y.data_ptr() % 64 == 0


@given(sizes, st.integers(0, 2**32))
def test_rows_are_copied_when_a_batch_is_asked_for(size, seed: int):
    n, batch_size = size
    torch.manual_seed(seed)
    for stack in chain.from_iterable(Batches(make_split(n), batch_size, shuffle=True, drop_last=False).epoch()):
        first, rest = stack.split(1)
        targets = torch.cat([first.targets, rest.targets])
        assert not stack.rows.are_copied
        assert torch.equal(stack.y.flatten(0, 1), targets)
        assert torch.equal(torch.cat([first.targets, rest.targets]), targets)
        assert first.x.data_ptr() == stack.x.data_ptr()


def test_rows_of_a_large_file_are_copied_in_their_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maps, "_MAY_STAY", 0)
    split = make_split(23)
    split.x.numpy().tofile(tmp_path / "x")
    mapped = replace(split, x=torch.from_numpy(maps.map_array(tmp_path / "x", np.float32, (23, 3))))
    for rows in (mapped, replace(split, x=split.x.T.contiguous().T)):
        batches = Batches(rows, 5, shuffle=True, drop_last=False)
        torch.manual_seed(0)
        expected = take(Batches(split, 5, shuffle=True, drop_last=False), 5)
        torch.manual_seed(0)
        (stacks,) = batches.epoch()
        assert [stack.order for stack in stacks] == [None, None]
        for (x, y), (expected_x, expected_y) in zip(chain.from_iterable(stacks), expected, strict=True):
            assert torch.equal(x, expected_x)
            assert torch.equal(y, expected_y)


def test_a_full_batch_without_shuffling_draws_no_random_number():
    before = torch.get_rng_state()
    take(Batches(make_split(5), None, shuffle=False, drop_last=False), 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_size_above_the_number_of_rows_is_refused():
    with pytest.raises(ConfigError, match=r"batching.batch_size must be <= the number of training rows, 5, got 6"):
        Batches(make_split(5), 6, shuffle=False, drop_last=False)
