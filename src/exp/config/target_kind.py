"""What a run predicts: one of several classes, 0 or 1 for each of several labels, or numbers."""

from typing import Literal, NamedTuple


class TargetKind(NamedTuple):
    """The kind of a target, and the names of its classes, of its labels, or of its numbers."""

    kind: Literal["classes", "labels", "numbers"]
    names: tuple[str, ...]

    @property
    def is_categorical(self) -> bool:
        """Whether the target has classes or labels, and not numbers."""
        return self.kind != "numbers"

    def __str__(self) -> str:
        return "a numeric target" if self.kind == "numbers" else self.kind
