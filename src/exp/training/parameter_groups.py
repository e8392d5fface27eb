"""Groups of parameters that an optimizer updates with other learning rates, or decays otherwise."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import LBFGS, Optimizer

from exp.config.instantiate import instantiate
from exp.errors import ConfigError


def make_optimizer(model: nn.Module, node: Mapping[str, Any]) -> Optimizer:
    """Return the optimizer that `node` describes, for the parameters of the model.

    `lr_factors` and `decay_factors` map the last word of a parameter's name, such as bias, to a factor of `lr` or
    `weight_decay`. Parameters with the same two factors are one group: first those without, whose rate is the run's lr.

    Raises:
        ConfigError: The model has no such parameter, or the optimizer has no groups or no weight decay.
    """
    lr, decay = (dict[str, float](node.get(key) or {}) for key in ("lr_factors", "decay_factors"))
    if not lr and not decay:
        return instantiate("optimizer", dict(node), params=model.parameters())
    if str(node["_target_"]).endswith(f".{LBFGS.__name__}"):
        key, what = (
            ("lr_factors", "one learning rate for all parameters") if lr else ("decay_factors", "no weight decay")
        )
        raise ConfigError(f"optimizer.{key}: LBFGS has {what}", "optimizer=adam", key=f"optimizer.{key}")
    words = {name.rpartition(".")[2] for name, _ in model.named_parameters()}
    for key, factors in (("lr_factors", lr), ("decay_factors", decay)):
        for word in factors:
            if word not in words:
                raise ConfigError(
                    f"optimizer.{key}: no parameter of the model is called '{word}' (available: "
                    f"{', '.join(sorted(words))})",
                    f"optimizer.{key}=null",
                    key=f"optimizer.{key}",
                    override=f"optimizer.{key}=null",
                )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, 1.0): []}
    for name, parameter in model.named_parameters():
        word = name.rpartition(".")[2]
        groups.setdefault((lr.get(word, 1.0), decay.get(word, 1.0)), []).append(parameter)
    groups = {factors: parameters for factors, parameters in groups.items() if parameters}
    params = [{"params": parameters} for parameters in groups.values()]
    optimizer: Optimizer = instantiate("optimizer", dict(node), params=params)
    if decay and "weight_decay" not in optimizer.defaults:
        raise ConfigError(
            f"optimizer.decay_factors: {type(optimizer).__name__} has no weight decay", "optimizer.decay_factors=null"
        )
    for group, (lr_factor, decay_factor) in zip(optimizer.param_groups, groups, strict=True):
        group["lr"] *= lr_factor
        if decay:
            group["weight_decay"] *= decay_factor
    return optimizer
