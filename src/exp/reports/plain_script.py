"""A run as the plain PyTorch script that it is: no exp in it, the same losses to the bit on the CPU."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from exp.config.allowlist import READ_BY_EXP
from exp.config.instantiate import resolve
from exp.config.schema import Config
from exp.errors import ConfigError
from exp.reports.source import format_arguments, format_call, is_user_code, user_modules
from exp.training.build import Experiment
from exp.training.objectives import Binary, Multiclass
from exp.training.plan import Plan


def write_script(config: Config, experiment: Experiment, threads: int, rows: str) -> str:
    """The script. Where a plain one could not make the rows, it reads them from the file `rows` beside it."""
    parts = [
        *_data(config, experiment, rows),
        "",
        *_model(config, experiment),
        "",
        *_training(config, experiment),
    ]
    text = "\n".join(parts)
    return "\n".join([*_head(config, text, threads), *parts, ""])


def needs_rows(config: Config) -> bool:
    """Whether a plain script could not make this run's rows anew: they are in a file, or dealt out in another way."""
    known = config.dataset["_target_"].startswith(("sklearn.", "exp.data.synthetic."))
    return not known or bool(config.dataset.get("stratify"))


def _head(config: Config, text: str, threads: int) -> Iterator[str]:
    yield '"""One training run in plain PyTorch. It prints step and validation loss, and at its end all measures."""'
    yield ""
    if "Path(" in text:
        yield "from pathlib import Path"
        yield ""
    if "np." in text:
        yield "import numpy as np"
    yield "import torch"
    if config.dataset["_target_"].startswith("sklearn.") and not needs_rows(config):
        module, _, name = config.dataset["_target_"].rpartition(".")
        yield f"from {module} import {name}"
    if "StandardScaler" in text:
        yield "from sklearn.preprocessing import StandardScaler"
    yield "from torch import nn"
    if "DataLoader" in text:
        yield "from torch.utils.data import DataLoader, TensorDataset"
    yield from (f"from {module} import {', '.join(sorted(names))}" for module, names in user_modules(config).items())
    yield ""
    yield f"torch.set_num_threads({threads})"
    yield ""


def _data(config: Config, experiment: Experiment, rows: str) -> Iterator[str]:
    names = ("train", "val", "test")
    if needs_rows(config):
        yield f"with np.load(Path(__file__).with_name({rows!r})) as arrays:"
        yield "    rows = {name: torch.from_numpy(array) for name, array in arrays.items()}"
        for name in names:
            yield f'{name}_x, {name}_y = rows["{name}_x"], rows["{name}_y"]'
        return
    yield from _source(config)
    classes = isinstance(experiment.objective, Multiclass)
    yield f"y = torch.from_numpy(y){'.long()' if classes else '.float().reshape(len(x), -1)'}"
    split = config.dataset.get("split")
    if split is None:
        yield "train = val = test = torch.arange(len(x))"
    else:
        sizes = [len(part) for part in experiment.data.splits.values()]
        yield f"torch.manual_seed({config.seed})"
        yield f"train, val, test = torch.randperm(len(x)).split({sizes})"
    if config.dataset.get("standardize"):
        yield "x = StandardScaler().fit(x[train.numpy()]).transform(x)"
    yield "x = torch.tensor(x, dtype=torch.float32)"
    for name in names:
        yield f"{name}_x, {name}_y = x[{name}], y[{name}]"


def _source(config: Config) -> Iterator[str]:
    """Lines after which x and y are NumPy's."""
    node = config.dataset
    given = {key: value for key, value in node.items() if key not in ("_target_", *READ_BY_EXP["dataset"])}
    function: Any = resolve("dataset", node)
    name = node["_target_"].rpartition(".")[2]
    made = f"{name}({format_arguments(given)})"
    if node["_target_"].startswith("exp."):
        source = re.sub(r": \w+( = [^,)]+)", r"\1", inspect.getsource(function))  # noise: float = 0.1
        source = source.replace(" = ", "=", source.partition(":\n")[0].count(" = "))
        yield re.sub(r" -> .*:$", ":", textwrap.dedent(source), count=1, flags=re.MULTILINE)
        yield f"x, y = {made}"
    elif name.startswith("load_"):
        yield f"table = {made}"
        yield "x, y = table.data, table.target"
    else:
        yield f"x, y = {made}"


def _model(config: Config, experiment: Experiment) -> Iterator[str]:
    yield f"torch.manual_seed({config.seed})"
    yield from _layers(config, experiment)
    yield f"criterion = {format_call('loss', config.loss)}"
    yield f"optimizer = {format_call('optimizer', config.optimizer, 'model.parameters()')}"
    if config.scheduler.get("_target_"):
        scheduler: Any = experiment.learner.scheduler
        more = {"T_max": scheduler.T_max} if "T_max" in config.scheduler else {}
        yield f"scheduler = {format_call('scheduler', {**config.scheduler, **more}, 'optimizer')}"


def _layers(config: Config, experiment: Experiment) -> Iterator[str]:
    model = experiment.model
    if is_user_code(config.model):
        widths = {"in_features": len(experiment.data.features), "out_features": experiment.objective.outputs}
        yield f"model = {format_call('model', config.model, format_arguments(widths))}"
        return
    layers = list(model) if isinstance(model, nn.Sequential) else [model]
    # nn.Linear(in_features=30, out_features=10, bias=True) is as one writes it without the names.
    linear = r"Linear\(in_features=(\d+), out_features=(\d+), bias=True\)"
    written = [re.sub(linear, r"Linear(\1, \2)", f"nn.{layer!r}") for layer in layers]
    if len(layers) > 1:
        yield "model = nn.Sequential("
        yield from (f"    {layer}," for layer in written)
        yield ")"
    else:
        yield f"model = {written[0]}"


def _training(config: Config, experiment: Experiment) -> Iterator[str]:
    batches, plan = experiment.batches, experiment.plan
    loaded = batches.batch_size is not None or batches.shuffle
    if loaded:
        more = ", drop_last=True" if config.batching.drop_last else ""
        shuffled = ", shuffle=True" if batches.shuffle else ""
        yield f"loader = DataLoader(TensorDataset(train_x, train_y), batch_size={batches.size}{shuffled}{more})"
        yield ""
    yield ""
    yield "def evaluated(x, y):"
    yield "    model.eval()"
    yield "    with torch.no_grad():"
    yield "        output = model(x)"
    yield "    model.train()"
    yield f"    return {', '.join(_metrics(experiment))}"
    yield ""
    yield ""
    yield "step = 0"
    yield 'print("val", step, *evaluated(val_x, val_y))'
    if plan.patience:
        yield "best, waited = evaluated(val_x, val_y)[0], 0"
    yield f"for epoch in range({config.epochs}):"
    if loaded:
        yield "    for x, y in loader:"
    else:
        yield "    x, y = train_x, train_y"
    yield from (("        " if loaded else "    ") + line for line in _step(config))
    per_epoch = batches.steps_per_epoch
    if plan.evaluate % per_epoch == 0:
        every = plan.evaluate // per_epoch
        when = None if every == 1 else f"(epoch + 1) % {every} == 0 or epoch + 1 == {config.epochs}"
        yield from ("    " + line for line in _look(config, plan, when))
    elif plan.patience or plan.schedule not in (None, 1):
        raise ConfigError(
            "format=script: it looks at the validation rows in the middle of an epoch, and stops or schedules by that",
            "a run with eval_every=1epoch",
        )
    else:
        yield from (
            ("        " if loaded else "    ") + line
            for line in _look(config, plan, f"step % {plan.evaluate} == 0 or step == {plan.steps}")
        )
    yield 'for name, rows in {"train": (train_x, train_y), "val": (val_x, val_y), "test": (test_x, test_y)}.items():'
    yield "    print(name, step, *evaluated(*rows))"


def _step(config: Config) -> Iterator[str]:
    clip = f"nn.utils.clip_grad_norm_(model.parameters(), {config.clip_grad_norm})" if config.clip_grad_norm else None
    if config.optimizer["_target_"] == "torch.optim.LBFGS":
        yield "def closure():"
        yield "    optimizer.zero_grad()"
        yield "    loss = criterion(model(x), y)"
        yield "    loss.backward()"
        if clip:
            yield f"    {clip}"
        yield "    return loss"
        yield ""
        yield "optimizer.step(closure)"
    else:
        yield "optimizer.zero_grad()"
        yield "criterion(model(x), y).backward()"
        if clip:
            yield clip
        yield "optimizer.step()"
    yield "step += 1"
    if config.scheduler.get("_target_") and config.scheduler.get("every") == "step":
        yield "scheduler.step()"


def _look(config: Config, plan: Plan, when: str | None) -> Iterator[str]:
    """What happens at an evaluation, and behind it once an epoch."""
    every = config.scheduler.get("every", "epoch") if config.scheduler.get("_target_") else None
    lines = ["measures = evaluated(val_x, val_y)", 'print("val", step, *measures)']
    if every == "evaluation":
        plateau = config.scheduler["_target_"].endswith("ReduceLROnPlateau")
        lines.append("scheduler.step(measures[0])" if plateau else "scheduler.step()")
    if plan.patience:
        lines.append(f"waited = 0 if measures[0] < best - {plan.min_delta} else waited + 1")
        lines.append("best = measures[0] if waited == 0 else best")
    yield from lines if when is None else (f"if {when}:", *(f"    {line}" for line in lines))
    if every == "epoch":
        yield "scheduler.step()"
    if plan.patience:
        yield f"if waited >= {plan.patience}:"
        yield "    break"


def _metrics(experiment: Experiment) -> list[str]:
    loss = "criterion(output, y).item()"
    if isinstance(experiment.objective, Multiclass):
        return [loss, "(output.argmax(1) == y).double().mean().item()"]
    if isinstance(experiment.objective, Binary):
        threshold = 0.0 if experiment.objective.probability is torch.sigmoid else 0.5
        return [loss, f"((output >= {threshold}) == (y == 1)).double().mean().item()"]
    return [loss, "(output - y).double().square().mean().sqrt().item()"]
