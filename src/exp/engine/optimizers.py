"""Use torch.optim without importing torch._dynamo, the front end of torch.compile, which takes 1.1 s of CPU time.

Optimizers import it in two places: some methods exclude themselves from compilation, see `without_dynamo`, and `step`
marks where a compiled graph breaks, see `step_function`. `python -X importtime` shows the time;
tests/cli/test_start_up.py checks that a run does not import it.
"""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias, cast

from torch import Tensor
from torch.optim import Optimizer

from exp.engine.hooks import has_step_hook

# Its argument is a closure that recomputes the gradients and returns the loss, or None if the gradients are set.
StepFunction: TypeAlias = Callable[[Callable[[], Tensor] | None], Any]


# Attribute of a method where torch caches the function that it calls instead.
_CACHED = "__dynamo_disable"


@contextmanager
def without_dynamo() -> Generator[None]:
    """Allow optimizers to be built, saved and loaded inside without importing torch._dynamo.

    `add_param_group`, which every constructor calls, `state_dict` and `load_state_dict` import it to wrap themselves,
    unless an attribute caches the wrapped function. Inside this context the attribute holds the bare function; on exit
    it is removed. If torch renames the attribute, this has no effect.
    """
    methods = (Optimizer.add_param_group, Optimizer.state_dict, Optimizer.load_state_dict)
    bare: list[Any] = [getattr(method, "__wrapped__", None) for method in methods]
    bare = [method for method in bare if method is not None and not hasattr(method, _CACHED)]
    for method in bare:
        setattr(method, _CACHED, method)
    try:
        yield
    finally:
        for method in bare:
            delattr(method, _CACHED)


@cache
def needs_closure(kind: type[Optimizer]) -> bool:
    """Return whether `step` requires a closure, which it may call several times, like L-BFGS."""
    closure = inspect.signature(kind.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def step_function(optimizer: Optimizer) -> StepFunction:
    """Return `optimizer.step` without torch's wrappers. Call it with gradients disabled, and a closure or None."""
    # For torch's own classes without hooks, the wrappers have no effect on the result.
    if not is_plain_torch(optimizer) or optimizer.defaults.get("differentiable"):
        return cast(StepFunction, optimizer.step)
    bare = inspect.unwrap(type(optimizer).step)

    def step(closure: Callable[[], Tensor] | None) -> Any:
        vars(optimizer)["_opt_called"] = True  # schedulers check it to warn about steps in the wrong order
        return bare(optimizer, closure)

    return step


def is_plain_torch(optimizer: Optimizer) -> bool:
    """Return whether the optimizer is of a class of torch.optim and has no step hooks."""
    return type(optimizer).__module__.startswith("torch.optim.") and not has_step_hook(optimizer)
