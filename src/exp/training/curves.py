"""The points of the curves that events have, as TensorBoard and metrics.csv show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exp.training.events import Evaluated, Event, Trained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exp.data.batches import Positions


def evaluations_of(event: Event) -> Sequence[Evaluated]:
    """Return the evaluations that the event is or has."""
    if isinstance(event, Evaluated):
        return (event,)
    return event.evaluated if isinstance(event, Trained) else ()


def curves_of(event: Event, resume_step: int | None) -> Iterator[tuple[str, Positions, Mapping[str, Sequence[float]]]]:
    """Yield the points that the event adds to the curves: the split, their positions and their metrics, as columns.

    Args:
        resume_step: Of a resumed run, the step before it, whose validation may be repeated at its end; None of another.
    """
    if isinstance(event, Trained):
        yield "train", event.at, event.columns
    for one in evaluations_of(event):
        is_new = one.split == "test" or resume_step is None or one.at.step > resume_step
        if one.is_of_curve and is_new:
            yield one.split, one.at.as_column(), {name: [value] for name, value in one.values.items()}
