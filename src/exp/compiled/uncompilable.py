"""Why a step cannot be compiled."""

import torch


class Uncompilable(Exception):  # noqa: N818  # not an error: the step is replayed instead
    """A step that cannot be compiled; the text says why."""


def because_of_operator(what: str) -> str:
    return f"the operator {what} is not compiled"


def because_of_type(dtype: torch.dtype) -> str:
    return f"it computes in {str(dtype).removeprefix('torch.')}"
