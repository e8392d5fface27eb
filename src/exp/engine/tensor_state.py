"""Save, restore and compare the values of tensors and the states of random streams, to the bit."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorState:
    """The values of tensors and the states of random streams at one moment."""

    tensors: list[tuple[Tensor, Tensor]]  # a tensor and a copy of it
    device: torch.device
    random: dict[str, Tensor]

    @classmethod
    def save(cls, tensors: Sequence[Tensor], device: torch.device) -> "TensorState":
        """Copy `tensors` and the random state of the CPU and, if it is a GPU, of `device`."""
        return cls([(tensor, tensor.clone()) for tensor in tensors], device, get_random_state(device))

    def restore(self) -> None:
        """Write the saved values back into the same tensors, resized where needed, and set the random streams."""
        for tensor, value in self.tensors:
            tensor.resize_(value.shape).copy_(value)
        set_random_state(self.random, self.device)

    def is_current(self, ignore: Sequence[Tensor] = ()) -> bool:
        """Return whether all tensors and random streams are as they were saved, except the tensors in `ignore`."""
        ignored = {tensor.data_ptr() for tensor in ignore}
        random = get_random_state(self.device)
        return all(tensor.data_ptr() in ignored or _equal(tensor, value) for tensor, value in self.tensors) and all(
            torch.equal(random[name], state) for name, state in self.random.items()
        )


@contextmanager
def unchanged(tensors: Sequence[Tensor], device: torch.device) -> Generator[None]:
    """Restore `tensors` and the random streams that `TensorState` saves when the context exits."""
    before = TensorState.save(tensors, device)
    try:
        yield
    finally:
        before.restore()


def get_random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's random number generators: the CPU's, and that of `device` if it is a GPU."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Restore what `get_random_state` returned, perhaps on a machine with another device."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def are_equal(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None]) -> bool:
    """Return whether all pairs are equal to the bit. None, the gradient of an unused parameter, equals None only."""
    pairs = zip(ours, theirs, strict=True)
    return all(a is b or (a is not None and b is not None and _equal(a, b)) for a, b in pairs)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Return whether both have the same bits: -0. differs from 0., and a NaN equals one with the same bits."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.numel():
        return True
    # With a last dimension of stride 1: that of a single element may be 0, as in the gradient of its sum.
    return torch.equal(*(tensor.contiguous().unsqueeze(-1).view(torch.uint8) for tensor in (a, b)))


def copy_tensors(value: Any, earlier: Any = None) -> Any:
    """Copy nested dicts, lists and tuples of tensors; copy.deepcopy takes ten times as long.

    Args:
        earlier: A copy that is no longer needed. Its tensors in dicts are overwritten and returned where they are like
            those of `value`, because new memory takes longer than the copying.
    """
    if isinstance(value, Tensor):
        if isinstance(earlier, Tensor) and _is_like(earlier, value):
            return earlier.copy_(value.detach())
        return value.detach().clone()
    if isinstance(value, dict):
        before = cast("dict[Any, Any]", earlier) if isinstance(earlier, dict) else {}
        return {key: copy_tensors(item, before.get(key)) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [copy_tensors(item) for item in cast("list[Any]", value)]
    if isinstance(value, tuple):
        return tuple(copy_tensors(item) for item in cast("tuple[Any, ...]", value))
    return value


def overwrite(copies: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
    """Write the values of `tensors` into `copies`, which are like them."""
    torch._foreach_copy_([*copies], [*tensors])


def _is_like(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device and a.stride() == b.stride()
