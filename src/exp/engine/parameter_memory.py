"""Where the parameters of a captured computation are, and which of them are trained."""

from collections.abc import Iterable

from torch import nn


class ParameterMemory:
    """Finds changes that captured calls, which refer to the memory of the parameters, would not see.

    Code of the user's may make them at any step: `parameter.data = value` gives a parameter other memory, and
    `requires_grad_` freezes it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._places = self._find_places()

    def find_change(self) -> str | None:
        """Return what differs from the time when this object was made, or None."""
        places = self._find_places()
        if places == self._places:
            return None
        is_moved = any(now[0] != then[0] for now, then in zip(places, self._places, strict=True))
        return "the memory of a parameter" if is_moved else "requires_grad of a parameter"

    def _find_places(self) -> list[tuple[int, bool]]:
        return [(one.data_ptr(), one.requires_grad) for one in self._parameters]
