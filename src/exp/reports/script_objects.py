"""The source of the objects of a plain script: the model, the loss, the optimizer and the schedule."""

import re
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from exp.config.schema import Config
from exp.models.members import MemberModel
from exp.reports.inlined import inline
from exp.reports.source import Source, format_arguments, format_call, is_user_code
from exp.training.build import Experiment
from exp.training.build_model import model_arguments
from exp.training.make_pieces import passes_per_epoch
from exp.training.member_models import rows_per_pass
from exp.training.objectives import Multiclass
from exp.training.weights import WeightedLoss, has_class_weight, without_weights


def object_sources(experiment: Experiment) -> dict[str, Any]:
    """Return the calls that build the model's layers, or the user's model, and what trains it."""
    config = experiment.config
    scheduler: Any = experiment.learner.scheduler
    given: dict[str, Any] = {
        key: getattr(scheduler, key) for key in ("T_max", "total_steps") if key in config.scheduler
    }
    max_lr = ""
    if "max_lr" in config.scheduler and len(experiment.learner.optimizer.param_groups) > 1:
        max_lr = repr(config.scheduler["max_lr"])
        given["max_lr"] = Source("max_lr")
    is_scheduled = bool(config.scheduler.get("_target_"))
    return {
        "layers": _layers(experiment),
        "fits_initial": hasattr(experiment.model, "initialize") and not has_torch_layers(experiment),
        "has_members": isinstance(experiment.model, MemberModel),
        "rows_per_pass": rows_per_pass(experiment.model),
        **(loss := _loss(experiment)),
        **_pieces(experiment, loss["weighted_mean"]),
        **_optimizer(config),
        **_precision(experiment),
        "ema": config.ema,
        "has_other_buffers": not all(buffer.is_floating_point() for buffer in experiment.model.buffers()),
        "network": "model" if config.ema is None else "average.module",
        "is_lbfgs": isinstance(experiment.learner.optimizer, torch.optim.LBFGS),
        "scheduler": format_call("scheduler", {**config.scheduler, **given}, "optimizer") if is_scheduled else "",
        "max_lr": max_lr,
        "schedule_every": config.scheduler.get("every", "epoch") if is_scheduled else "",
        "is_plateau": isinstance(scheduler, ReduceLROnPlateau),
    }


def _precision(experiment: Experiment) -> dict[str, Any]:
    """`autocast` with its arguments, empty for float32, and whether the loss `is_scaled`. The script uses the CPU."""
    dtype = experiment.learner.precision.dtype
    return {
        "autocast": "" if dtype is None else f'"cpu", {dtype}',
        "is_scaled": experiment.learner.scaler is not None,
    }


def _optimizer(config: Config) -> dict[str, Any]:
    """`optimizer` and the parameters whose norm is `clipped`; the factors of parameter groups, if there are some."""
    node = config.optimizer
    lr, decay = (cast("dict[str, float]", node.get(key) or {}) for key in ("lr_factors", "decay_factors"))
    if not lr and not decay:
        return {
            "lr_factors": "",
            "optimizer": format_call("optimizer", node, "model.parameters()"),
            "clipped": "model.parameters()",
        }
    return {
        "lr_factors": repr(lr),
        "decay_factors": repr(decay) if decay else "",
        "optimizer": format_call("optimizer", node, '[{"params": parameters} for parameters in groups.values()]'),
        "clipped": '[parameter for group in optimizer.param_groups for parameter in group["params"]]',
    }


def _loss(experiment: Experiment) -> dict[str, Any]:
    """`criterion`, and with weights `weighted_mean`; `w` and `val_rows` name the rows' own weights."""
    node, criterion = experiment.config.loss, experiment.objective.criterion
    class_weights = experiment.data.preprocessing.class_weights
    # In the digits of float32, which is what the loss has.
    weights = None if class_weights is None else [float(str(np.float32(weight))) for weight in class_weights]
    has_own = has_class_weight(without_weights(criterion))
    if has_own and weights is not None:
        node = {**node, "weight": weights}
    if not isinstance(criterion, WeightedLoss):
        return {"criterion": format_call("loss", node), "w": "", "val_rows": "val_x, val_y", "weighted_mean": {}}
    has_rows = experiment.data.train.weights is not None
    of_class = "loss_of_rows.weight" if has_own else "class_weights" if weights else ""
    is_multiclass = isinstance(experiment.objective, Multiclass)
    losses = "loss_of_rows(output, y)"
    if not is_multiclass:
        losses += ".squeeze(1)" if experiment.objective.outputs == 1 else ".mean(1)"
    row_weights = [*(["of_class"] if of_class else []), *(["w"] if has_rows else [])]
    factors = [name for name in row_weights if name != "of_class" or not has_own]  # torch's loss has applied its own
    return {
        "criterion": format_call("loss", {**node, "reduction": "none"}),
        "w": ", w" if has_rows else "",
        "val_rows": "val_x, val_y, val_w" if has_rows else "val_x, val_y",
        "weighted_mean": {
            "class_weights": "" if has_own or weights is None else repr(weights),
            "losses": losses,
            "of_class": f"{of_class}[{'y' if is_multiclass else 'y.squeeze(1).long()'}]" if of_class else "",
            "weighted_losses": " * ".join(["losses", *factors]),
            "row_weights": " * ".join(row_weights),
        },
    }


def _pieces(experiment: Experiment, weighted_mean: dict[str, str]) -> dict[str, Any]:
    """`piece_rows`, None if batches are not cut; `piece_weight` is what y weighs in the loss, empty if rows count."""
    count, batches, criterion = (
        experiment.config.batching.accumulate,
        experiment.batches,
        experiment.objective.criterion,
    )
    weight = "criterion.weight[y]" if has_class_weight(criterion) else ""
    if weighted_mean:
        weight = weighted_mean["row_weights"].replace("of_class", weighted_mean["of_class"])
    return {
        "piece_rows": -(-batches.size // count) if count > 1 else None,
        "piece_weight": weight if count > 1 else "",
    }


def _layers(experiment: Experiment) -> list[str]:
    config, model = experiment.config, experiment.model
    if not has_torch_layers(experiment):
        data, objective = experiment.data, experiment.objective
        passes = config.epochs * passes_per_epoch(config, experiment.batches)
        passed = model_arguments(config, data.preprocessing, objective.outputs, passes)
        return [format_call("model", config.model, format_arguments(passed))]
    # The usual spelling of nn.Linear(in_features=30, out_features=10, bias=True).
    linear = r"Linear\(in_features=(\d+), out_features=(\d+), bias=True\)"
    return [re.sub(linear, r"Linear(\1, \2)", f"nn.{layer!r}") for layer in _list_layers(model)]


def has_torch_layers(experiment: Experiment) -> bool:
    """Return whether the script can build the model of torch's layers; otherwise it has the source of its class."""
    layers = _list_layers(experiment.model)
    is_torch = all(type(layer).__module__.startswith("torch.nn.") for layer in layers)
    return is_torch and not is_user_code(experiment.config.model)


def _list_layers(model: nn.Module) -> list[nn.Module]:
    return list(model) if isinstance(model, nn.Sequential) else [model]


def own_source(experiment: Experiment) -> dict[str, Any]:
    """Return the source of exp's own classes in the run, and what it imports beyond NumPy and torch."""
    config = experiment.config
    nodes = [config.scheduler] if has_torch_layers(experiment) else [config.model, config.scheduler]
    targets = [str(node["_target_"]) for node in nodes if str(node.get("_target_")).startswith("exp.")]
    targets += ["exp.models.members.MemberLoss"] if isinstance(experiment.model, MemberModel) else []
    imports, source = inline(targets)
    in_every_script = {"import torch", "import numpy as np", "from torch import nn", "from torch import Tensor, nn"}
    return {"own_imports": sorted(set(imports) - in_every_script), "own_source": source}
