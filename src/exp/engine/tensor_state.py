"""Save, restore and compare the values of tensors and the states of random streams, to the bit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorState:
    """The values of tensors and the states of random streams at one moment."""

    tensors: list[tuple[Tensor, Tensor]]  # a tensor and a copy of it
    random: list[tuple[torch.device, Tensor]]

    @classmethod
    def save(cls, tensors: Sequence[Tensor], device: torch.device) -> "TensorState":
        """Copy `tensors` and the random state of the CPU and, if it is a GPU, of `device`."""
        random = [(torch.device("cpu"), torch.get_rng_state())]
        if device.type == "cuda":
            random.append((device, torch.cuda.get_rng_state(device)))
        return cls([(tensor, tensor.clone()) for tensor in tensors], random)

    def restore(self) -> None:
        """Write the saved values back into the same tensors, resized where needed, and set the random streams."""
        for tensor, value in self.tensors:
            tensor.resize_(value.shape).copy_(value)
        for device, state in self.random:
            if device.type == "cuda":
                torch.cuda.set_rng_state(state, device)
            else:
                torch.set_rng_state(state)

    def is_current(self, ignore: Sequence[Tensor] = ()) -> bool:
        """Whether all tensors and random streams are as they were saved, except the tensors in `ignore`."""
        ignored = {tensor.data_ptr() for tensor in ignore}
        return all(tensor.data_ptr() in ignored or _equal(tensor, value) for tensor, value in self.tensors) and all(
            torch.equal(_random_state(device), state) for device, state in self.random
        )


def are_equal(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None]) -> bool:
    """Whether all pairs are equal to the bit. None, the gradient of an unused parameter, equals None only."""
    pairs = zip(ours, theirs, strict=True)
    return all(a is b or (a is not None and b is not None and _equal(a, b)) for a, b in pairs)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether both have the same bits: -0. differs from 0., and a NaN equals one with the same bits."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)))


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
