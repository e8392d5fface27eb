"""A metric of the user: a function of the rows of a whole split."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.instantiate import import_metric
from exp.config.user_code import errors_of
from exp.data.columns.column import Floats
from exp.data.seeding import preserved_streams
from exp.errors import ConfigError


@dataclass(frozen=True)
class OwnMetric:
    """The metric `name`, which `function` computes."""

    name: str
    function: Callable[..., Any]
    takes_weights: bool

    @classmethod
    def load(cls, name: str) -> "OwnMetric":
        """Import the function. ConfigError if it is not allowed or not a metric."""
        function = import_metric(name)
        return cls(name, function, "weights" in inspect.signature(function).parameters)

    def __call__(self, targets: NDArray[Any], predictions: Floats, weights: Floats | None) -> float | None:
        """Return the metric of N rows, None if it returns None.

        The function gets copies, and the random numbers that it draws are not missing in training.

        Args:
            targets: Class numbers [N], or values in the target's own unit: [N], or [N, K] of several targets.
            predictions: Probabilities [N, K], or values like the targets.
            weights: Those of the rows [N]; None: all weigh 1.

        Raises:
            ConfigError: The function fails, or returns something else than a number.
        """
        more = {"weights": np.ones(len(targets)) if weights is None else weights.copy()} if self.takes_weights else {}
        fix = f"correct {self.name}, or metrics without it"
        with errors_of(f"metrics: {self.name} failed", fix), preserved_streams():
            value = self.function(targets.copy(), predictions.copy(), **more)
        if value is None:
            return None
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"metrics: {self.name} must return a number or None, got {type(value).__name__}",
                f"a number that {self.name} returns",
            ) from error
