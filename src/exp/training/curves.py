"""The points of the curves that events have, as TensorBoard and metrics.csv show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exp.training.events import Evaluated, Event, Trained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exp.data.batches import Positions


def evaluations_of(event: Event) -> Sequence[Evaluated]:
    """Return the evaluations that the event is or has."""
    return (event,) if isinstance(event, Evaluated) else event.evaluated if isinstance(event, Trained) else ()


def curves_of(event: Event) -> Iterator[tuple[str, Positions, Mapping[str, Sequence[float]]]]:
    """Yield the points that the event has: the split, their positions and their metrics, as columns."""
    if isinstance(event, Trained):
        yield "train", event.at, event.columns
    for one in evaluations_of(event):
        if one.is_of_curve:
            yield one.split, one.at.as_column(), {name: [value] for name, value in one.values.items()}
