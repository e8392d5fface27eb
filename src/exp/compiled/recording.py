"""What a compiled step reads besides its batch: tensors, floats and random numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exp.compiled.uncompilable import Uncompilable, because_of_operator
from exp.engine.trace import OpCall, find_tensors

# Fills a tensor with random numbers from torch's stream.
Draw: TypeAlias = Callable[[Tensor], Any]

_LIKE: dict[str, Draw] = {"rand": Tensor.uniform_, "randn": Tensor.normal_}
_IN_PLACE = ("aten.bernoulli_.float", "aten.uniform_.default", "aten.normal_.default")


@dataclass
class Recording:
    """The arguments of a compiled step.

    Attributes:
        tensors: x, y, the parameters and buffers, and constants, in the order of the library's arguments.
        floats: The floats among the arguments of the recorded calls.
        draws: For each random call a function that makes it again, and the shape.
    """

    tensors: list[Tensor]
    output_shape: tuple[int, ...]
    floats: list[float] = field(default_factory=list[float])
    draws: list[tuple[Draw, torch.Size]] = field(default_factory=list[tuple[Draw, torch.Size]])

    @property
    def batch_size(self) -> int:
        return self.tensors[1].size(0)

    def add_draw(self, call: OpCall) -> int:
        """Add a random call, and return its number.

        Raises:
            Uncompilable: It draws otherwise than torch's usual functions do.
        """
        name, operator, result = str(call.operator), call.operator, call.result
        arguments, named = call.args[1:], call.kwargs  # not the call, which has tensors

        def again(tensor: Tensor) -> Any:
            return operator(tensor, *arguments, **named)

        is_in_place = name in _IN_PLACE and not find_tensors((arguments, named))
        draw = again if is_in_place else _LIKE.get(name.split(".")[1].removesuffix("_like"))
        is_like_ours = isinstance(result, Tensor) and result.is_contiguous() and result.dtype == torch.float32
        if draw is None or not is_like_ours:
            raise Uncompilable(because_of_operator(call.name))
        self.draws.append((draw, result.shape))
        return len(self.draws) - 1
