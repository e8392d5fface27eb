"""When a sink writes out the rows that it holds: rows that come fast wait for one another, and none of them long."""

from itertools import pairwise

import numpy as np
import pytest

from exp.data.batches import Position, Positions
from exp.results.flush_timer import FlushTimer
from exp.training.events import Evaluated, Event, Noted, Snapshot, Trained
from exp.training.metrics import AccuracySum, MetricSums

_AT = Position(1, 0.5, 10)
_EVALUATED = Evaluated(_AT, "val", MetricSums(1, 1.0, AccuracySum(1, 1)))
_NONE = np.empty(0)
_TRAINED = Trained(Positions([], [], []), MetricSums(_NONE, _NONE, AccuracySum(_NONE, _NONE)), 0.1, "replay")
_BEST, _STATE = Snapshot(_AT, {}, best=True), Snapshot(_AT, {}, best=False)


def due(monkeypatch: pytest.MonkeyPatch, events: list[tuple[float, Event]]) -> list[bool]:
    """Return for each event, at a time in seconds, whether it is due."""
    times = iter([seconds for seconds, _ in events])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    timer = FlushTimer()
    return [timer.is_due(event) for _, event in events]


def test_steps_and_fast_evaluations_wait_but_none_longer_than_a_fifth_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cycle = [(_TRAINED, 0.001), (_EVALUATED, 0.006), (_BEST, 0.007)]
    events: list[tuple[float, Event]] = [
        (cycle_number / 100 + seconds, event) for cycle_number in range(100) for event, seconds in cycle
    ]
    flushed = [events[place][0] for place, is_due in enumerate(due(monkeypatch, events)) if is_due]
    assert len(flushed) < 8
    assert all(after - before < 0.21 for before, after in pairwise(flushed))


def test_an_evaluation_after_a_slow_epoch_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next event may be minutes away."""
    events: list[tuple[float, Event]] = [(0.0, _EVALUATED), (60.0, _TRAINED), (60.1, _EVALUATED), (60.11, _BEST)]
    assert due(monkeypatch, events) == [True, True, True, False]


def test_everything_else_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[float, Event]] = [(0.0, _TRAINED), (0.001, _STATE), (0.002, Noted(_AT, "")), (0.003, _TRAINED)]
    assert due(monkeypatch, events) == [True, True, True, False]
