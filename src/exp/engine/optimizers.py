"""torch.optim without importing torch._dynamo, torch.compile's front end: 1.1 s of CPU time at the first touch.

Optimizers import it in two ways: some methods to exclude themselves from compilation, see `without_dynamo`, and `step`
to mark where a compiled graph breaks, see `step_of`. python -X importtime shows the seconds; tests/cli/test_start_up.py
checks that a run does not import it.
"""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias, cast

from torch import Tensor
from torch.optim import Optimizer

# Takes a closure that computes the gradients anew and returns the loss, or None if the gradients are in place.
Step: TypeAlias = Callable[[Callable[[], Tensor] | None], Any]


# torch's name for what it calls in place of a method that is excluded from compilation, once it has been imported.
_CACHED = "__dynamo_disable"


@contextmanager
def without_dynamo() -> Generator[None]:
    """Build, save and load optimizers inside without importing torch._dynamo.

    `add_param_group`, which every constructor calls, `state_dict` and `load_state_dict` import it in order to wrap
    themselves, unless an attribute holds an earlier result. Inside this context it holds the bare method; afterwards
    torch is as it was. Were torch to rename the attribute, this would only lose its effect.
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
def _needs_closure(kind: type[Optimizer]) -> bool:
    closure = inspect.signature(kind.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def step_of(optimizer: Optimizer) -> Step:
    """`optimizer.step`, to be called with gradients off and a closure or None."""
    # Only torch's own are known to be wrapped in nothing that matters, if no hook is.
    if not is_torchs_own(optimizer) or optimizer.defaults.get("differentiable"):
        return cast(Step, optimizer.step)
    bare = inspect.unwrap(type(optimizer).step)

    def step(closure: Callable[[], Tensor] | None) -> Any:
        vars(optimizer)["_opt_called"] = True  # schedules look for it, to warn of steps in the wrong order
        return bare(optimizer, closure)

    return step


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether its step must be given one, and may call it as often as it likes, as that of L-BFGS."""
    return _needs_closure(type(optimizer))


def is_torchs_own(optimizer: Optimizer) -> bool:
    """Whether its steps are those of torch.optim, and nobody listens to them."""
    hooks = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    return type(optimizer).__module__.startswith("torch.optim.") and not any(getattr(optimizer, name) for name in hooks)
