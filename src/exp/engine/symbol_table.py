"""Names in generated source code: of a trace's tensors, and of the functions and constants that the code refers to."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from typing import Any

from torch import Tensor

from exp.engine.trace import find_tensors


class SymbolTable:
    """Names of tensors and constants. Tensors are identified by id, so they must live as long as the table."""

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}  # name of a constant -> the function, tensor or other value it refers to
        self._names: dict[int, str] = {}  # id of a tensor of the trace -> its name
        self._bound_names: dict[int, str] = {}  # id of a bound value -> its name
        self._bases: dict[str, str] = {}  # name of a bound view -> name of the tensor that it is a view of

    def set_name(self, tensor: Tensor, name: str) -> None:
        self._names[id(tensor)] = name

    def name(self, tensor: Tensor) -> str:
        """Return the tensor's name. A tensor without one is from outside the trace; it is bound as a constant."""
        if id(tensor) not in self._names:
            self._names[id(tensor)] = self.bind(tensor.detach())
        return self._names[id(tensor)]

    def bind(self, value: Any) -> str:
        """Return the name by which the code refers to `value`."""
        name = self._bound_names.setdefault(id(value), f"k{len(self.bound)}")
        self.bound[name] = value  # keeps the value alive, so no other value gets its id
        return name

    def bind_tensor(self, tensor: Tensor, value: Tensor) -> str:
        """Bind `value`, which replaces the trace's `tensor` at every step; return its name."""
        self._names[id(tensor)] = self.bind(value)
        return self._names[id(tensor)]

    def bind_view(self, tensor: Tensor, view: Tensor, of: Tensor) -> None:
        """Bind `view`, which replaces the trace's `tensor`, a view of the tensor `of`."""
        base = self.base(of)
        self._bases[self.bind_tensor(tensor, view)] = base

    def base(self, tensor: Tensor) -> str:
        """Return the name of the tensor that `tensor` is a bound view of, or its own name."""
        name = self.name(tensor)
        return self._bases.get(name, name)

    def source(self, value: Any) -> str:
        """Return an expression for an argument of an operator."""
        if isinstance(value, Tensor):
            return self.name(value)
        if find_tensors(value):
            return f"[{', '.join(self.source(item) for item in value)}]"
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        return self.bind(value)

    def with_bound_tensors(self, value: Any) -> Any:
        """Return the arguments `value` with each tensor of the trace replaced by the bound one."""
        if isinstance(value, Tensor):
            return self.bound[self.name(value)]
        if isinstance(value, dict):
            return {key: self.with_bound_tensors(item) for key, item in value.items()}
        return type(value)(map(self.with_bound_tensors, value)) if isinstance(value, (tuple, list)) else value
