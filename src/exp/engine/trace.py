"""Trace a computation: the flat list of operator calls that torch makes for it.

Tracing happens in torch's dispatcher, below autograd, so forward, loss and gradients become one list of calls on
tensors. program.py reduces that list.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode_temporarily

from exp.engine.other_ways import computes_vectors, find_other_way, has_other_derivative, is_of_values

# Arguments that batch norms write into in training, although their schemas do not declare it.
_UNDECLARED_WRITES = ("running_mean", "running_var")


# Methods that read a tensor's values without calling an operator, or let other code do so.
_UNDISPATCHED = {
    *(Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.__repr__, Tensor.apply_, Tensor.map_),
    *(Tensor.data_ptr, Tensor.untyped_storage),
}


@dataclass(frozen=True)
class OpCall:
    """One call of an operator, with its arguments and its result."""

    operator: OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def name(self) -> str:
        """The operator's name without its namespace and overload, such as `addmm`."""
        return self.operator.name().partition("::")[2].partition(".")[0]

    @cached_property
    def inputs(self) -> list[Tensor]:
        return find_tensors((self.args, self.kwargs))

    @cached_property
    def outputs(self) -> list[Tensor]:
        return find_tensors(self.result)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that were given, by name, in order."""
        names = [argument.name for argument in self.operator._schema.arguments]
        return {**dict(zip(names, self.args, strict=False)), **self.kwargs}

    @cached_property
    def written(self) -> list[Tensor]:
        """The arguments that the operator writes into."""
        schema, values = self.operator._schema.arguments, self.arguments
        declared = [one.name for one in schema if one.alias_info is not None and one.alias_info.is_write]
        undeclared = _UNDECLARED_WRITES if values.get("training", True) else ()
        return find_tensors([values.get(name) for name in (*declared, *undeclared)])

    @cached_property
    def only_checks(self) -> bool:
        """Whether it returns nothing and writes into nothing: it raises an error, or has no effect."""
        return not self.operator._schema.returns and not self.written

    @property
    def is_random(self) -> bool:
        return torch.Tag.nondeterministic_seeded in self.operator.tags


class DispatchMode(TorchDispatchMode):
    """Passes every operator call inside it to `__torch_dispatch__`, without importing torch._dynamo."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Trace(DispatchMode):
    """Records the operator calls made inside it. It keeps their tensors alive, so that no two have the same id.

    Results have the bits that they have outside it: from the first call on that recording would change, no call is
    recorded, and `fallback_reason` says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[OpCall] = []
        self.fallback_reason: str | None = None  # why the next step may make other calls
        self._random = torch.empty(0)  # the state of torch's random generator after the last call
        self._functions = _FunctionCalls()

    def __enter__(self) -> Self:
        self._random = torch.get_rng_state()
        self._functions.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._functions.__exit__(*error)
        self._check_random_state()
        self.fallback_reason = self._functions.reason or self.fallback_reason

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _reads_values(func, args):
            self.fallback_reason = _read_by("item(), if or a mask")
        if has_other_derivative(func, args, kwargs):
            self._functions.stop(f"the derivative of {func.overloadpacket.__name__.strip('_')}")
        self._functions.computes_vectors |= computes_vectors(func, args)
        if any(isinstance(leaf, torch.Generator) for leaf in flatten((args, kwargs))):
            self.fallback_reason = "the model draws from a random generator of its own"
        is_random = torch.Tag.nondeterministic_seeded in func.tags
        if is_random:
            self._check_random_state()
        result = func(*args, **kwargs)
        if is_random:
            self._random = torch.get_rng_state()
        self.calls.append(OpCall(func, args, kwargs, result))
        return result

    def written_outside(self) -> dict[int, Tensor]:
        """Return the memory that the calls write into and that none of them has made, by storage, as flat tensors."""
        inside: set[int] = set()
        outside: dict[int, Tensor] = {}
        written: dict[int, Tensor] = {}
        for call in self.calls:
            for tensor in call.inputs:
                if storage_id(tensor) not in inside:
                    outside.setdefault(storage_id(tensor), tensor)
            inside |= {storage_id(tensor) for tensor in call.outputs} - outside.keys()
            for tensor in call.written:
                if storage_id(tensor) in outside:
                    size = tensor.untyped_storage().nbytes() // tensor.element_size()
                    written[storage_id(tensor)] = tensor.detach().as_strided((size,), (1,), 0)
        return written

    def _check_random_state(self) -> None:
        """Note if something else than the recorded calls has drawn numbers or set the state: checkpoint, fork_rng."""
        if self._functions.is_recording and not torch.equal(self._random, torch.get_rng_state()):
            self.fallback_reason = "the model sets the state of torch's random generator (checkpoint, manual_seed)"


class _FunctionCalls(TorchFunctionMode):
    """Sees calls of torch's functions, some of which reach no operator, and makes them without recording once it stops.

    It does not refer to the trace: in a cycle, the traced tensors would stay in memory until a garbage collection.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason: str | None = None  # why the next step may make other calls
        self.is_recording = True
        self.computes_vectors = False  # whether the function that is called now does

    def stop(self, what: str) -> None:
        """Record no further calls of functions, because torch computes `what` otherwise while they are recorded."""
        if self.is_recording:
            self.is_recording = False
            self.reason = f"torch computes {what} in another way while it is recorded"

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not torch._C._len_torch_dispatch_stack():  # the trace itself makes a call that came from C++
            return func(*args, **kwargs)
        if self.is_recording and (func in _UNDISPATCHED or _splits_at_values(func, args, kwargs)):
            self.reason = _read_by(func.__name__)
        if self.is_recording:
            with _pop_mode_temporarily():
                other = find_other_way(func, args, kwargs)
            if other is not None:
                self.stop(other)
        if self.is_recording:
            self.computes_vectors = False
            result = failure = None
            try:
                result = func(*args, **kwargs)
            except Exception as error:  # vectors of infinite values do not converge
                failure = error
            if not (self.computes_vectors and is_of_values(func)):
                if failure is not None:
                    raise failure
                return result
            self.stop(func.__name__.removeprefix("linalg_"))
        with _pop_mode_temporarily():
            return func(*args, **kwargs)


def _read_by(what: str) -> str:
    return f"the model reads the values of a tensor (by {what}), so the next step may be a different computation"


def _splits_at_values(function: Any, args: Any, kwargs: Any) -> bool:
    """Return whether it is tensor_split with a tensor of places, which no operator reads."""
    is_split = getattr(function, "__name__", "") == "tensor_split"
    return is_split and any(isinstance(one, Tensor) for one in (*args[1:], *kwargs.values()))


def _reads_values(operator: OpOverload, args: Any) -> bool:
    """Return whether later calls may depend on a tensor's values: they are read, or they determine a shape."""
    if operator is torch.ops.aten.index.Tensor:
        return any(index.dtype in (torch.bool, torch.uint8) for index in find_tensors(args[1]))
    return not {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}.isdisjoint(operator.tags)


def is_view(operator: OpOverload) -> bool:
    """Return whether the operator returns a view of an argument that it does not write into."""
    arguments, returns = operator._schema.arguments, operator._schema.returns
    writes = any(argument.alias_info is not None and argument.alias_info.is_write for argument in arguments)
    return not writes and any(result.alias_info is not None for result in returns)


def find_tensors(value: Any) -> list[Tensor]:
    """Return every tensor in nested tuples, lists and dicts."""
    return [leaf for leaf in flatten(value) if isinstance(leaf, Tensor)]


def flatten(value: Any) -> list[Any]:
    """Return the leaves of nested tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in flatten(item)]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in flatten(item)]
    return [value]


def storage_id(tensor: Tensor) -> int:
    """Return a number that is the same for all tensors that share memory."""
    return tensor.untyped_storage()._cdata
