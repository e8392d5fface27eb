"""Promise 1: with the same seed, a run's losses equal those of the plain PyTorch loop, to the bit on the CPU."""

import math
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import pytest
import sklearn.datasets as tables
import torch
from conftest import config_of, list_evaluations, logged_steps, one_in
from hypothesis import given, settings
from hypothesis import strategies as st
from promises.plain_script import Script
from torch import nn, optim
from torch.optim import lr_scheduler

from exp.training.build import build
from exp.training.loop import Training

XOR = (np.array([[0, 0], [1, 0], [0, 1], [1, 1]]), np.array([0, 1, 1, 0]))

DATASETS: dict[str, Any] = {
    "cancer": lambda: tables.load_breast_cancer(return_X_y=True),
    "iris": lambda: tables.load_iris(return_X_y=True),
    "wine": lambda: tables.load_wine(return_X_y=True),
    "digits": lambda: tables.load_digits(return_X_y=True),
    "diabetes": lambda: tables.load_diabetes(return_X_y=True),
    "moons": lambda: tables.make_moons(n_samples=1000, noise=0.2, random_state=0),
    "xor": lambda: XOR,
}
STANDARDIZED = {"cancer", "iris", "wine", "digits", "diabetes"}
TWO_CLASSES = {"cancer", "moons", "xor"}

CRITERIA = {
    "cross_entropy": nn.CrossEntropyLoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
    "bce": nn.BCELoss,
    "mse": nn.MSELoss,
    "l1": nn.L1Loss,
    "huber": nn.HuberLoss,
}

# The defaults of the options, repeated here so that a change in a YAML fails a test.
OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "optimizer=sgd": (optim.SGD, {"lr": 0.02}),
    "optimizer=sgd optimizer.momentum=0.9": (optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    "optimizer=sgd optimizer.momentum=0.8 optimizer.nesterov=true optimizer.weight_decay=0.01": (
        optim.SGD,
        {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    ),
    "optimizer=adam": (optim.Adam, {"lr": 0.001}),
    "optimizer=adamw optimizer.lr=0.01": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.01}),
    "optimizer=rmsprop": (optim.RMSprop, {"lr": 0.01}),
    "optimizer=adagrad": (optim.Adagrad, {"lr": 0.01}),
    "optimizer=nadam": (optim.NAdam, {"lr": 0.002}),
    "optimizer=radam": (optim.RAdam, {"lr": 0.001}),
    "optimizer=adamax": (optim.Adamax, {"lr": 0.002}),
    "optimizer=adadelta": (optim.Adadelta, {"lr": 1.0}),
}

SCHEDULERS: dict[str, Any] = {
    "scheduler=none": None,
    "scheduler=step scheduler.step_size=1": lambda o: lr_scheduler.StepLR(o, 1, 0.1),
    "scheduler=cosine scheduler.T_max=4": lambda o: lr_scheduler.CosineAnnealingLR(o, 4),
    "scheduler=coslog scheduler.every=step scheduler.T_max=40": lambda o: lr_scheduler.LambdaLR(
        o, lambda step: 0.5 - 0.5 * math.cos(2 * math.pi * math.log2(1 + 15 * min(1, step / 40)))
    ),
    "scheduler=flat_cosine scheduler.every=epoch scheduler.T_max=4": lambda o: lr_scheduler.LambdaLR(
        o, lambda epoch: 1 if epoch <= 2 else 0.5 + 0.5 * math.cos(math.pi * (min(1, epoch / 4) - 0.5) / 0.5)
    ),
    "scheduler=warmup_cosine scheduler.every=step scheduler.T_max=16 scheduler.warmup=0.5": lambda o: (
        lr_scheduler.LambdaLR(
            o,
            lambda step: (
                step / 16 / 0.5 if step < 8 else 0.5 + 0.5 * math.cos(math.pi * (min(1, step / 16) - 0.5) / 0.5)
            ),
        )
    ),
    "scheduler=warmup": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=5),
    "scheduler=plateau scheduler.patience=0": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
}


def outputs(dataset: str, loss: str) -> int | None:
    """Number of outputs for a dataset and a loss; None if they do not fit."""
    if dataset == "diabetes":
        return 1 if loss in ("mse", "l1", "huber") else None
    if loss == "cross_entropy":
        return {"iris": 3, "wine": 3, "digits": 10}.get(dataset, 2)
    return 1 if dataset in TWO_CLASSES else None


def losses_of_exp(*overrides: str, engine: str) -> tuple[list[float], list[float], nn.Module]:
    experiment = build(config_of(*overrides, "log_every=1", "eval_every=1epoch", "threads=1", f"engine={engine}"))
    events = list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    losses = [step.metrics.loss for step in logged_steps(events)]
    val = [e.metrics.loss for e in list_evaluations(events) if e.split == "val" and e.at.step > 0]
    return losses, val, experiment.model


def assert_same_bits(script: Script, overrides: list[str], engine: str = "replay") -> None:
    losses, val_losses, model = script.run()
    ours, our_val, our_model = losses_of_exp(*overrides, engine=engine)
    # exp stops runs that diverge, so these cannot be compared.
    assert all(np.isfinite(losses))
    assert ours == losses
    assert our_val == val_losses
    for parameter, expected in zip(our_model.parameters(), model.parameters(), strict=True):
        assert torch.equal(parameter, expected)


def compare(
    dataset: str,
    loss: str,
    optimizer: str,
    batch_size: int | None,
    shuffle: bool,
    drop_last: bool = False,
    hidden: tuple[int, ...] = (5,),
    activation: str = "relu",
    dropout: float = 0.0,
    scheduler: str = "scheduler=none",
    clip: float | None = None,
    epochs: int = 2,
    seed: int = 0,
    linear: bool = False,
    engine: str = "replay",
) -> None:
    x, y = DATASETS[dataset]()
    width = outputs(dataset, loss)
    assert width is not None
    last = "sigmoid" if loss == "bce" else None
    size = "null" if batch_size is None else batch_size
    model = (
        ["model=linear"]
        if linear
        else [
            f"model.hidden=[{','.join(map(str, hidden))}]",
            f"model.activation={activation}",
            f"model.output_activation={last or 'null'}",
            f"model.dropout={dropout}",
        ]
    )
    overrides = [
        *(f"dataset={dataset} loss={loss} {optimizer} {scheduler}".split()),
        *model,
        *(f"batching.batch_size={size} batching.shuffle={shuffle} batching.drop_last={drop_last}".split()),
        *(f"epochs={epochs} seed={seed} clip_grad_norm={'null' if clip is None else clip}".split()),
    ]
    kind, hyperparameters = OPTIMIZERS[optimizer]
    if dataset == "diabetes":  # its targets are in the hundreds, so a larger rate diverges
        hyperparameters = {**hyperparameters, "lr": 1e-4}
        overrides.append("optimizer.lr=0.0001")
    script = Script(
        x,
        y,
        CRITERIA[loss](),
        kind,
        hyperparameters,
        split=dataset != "xor",
        standardize=dataset in STANDARDIZED,
        outputs=width,
        hidden=[] if linear else list(hidden),
        activation=activation,
        last=last,
        dropout=0.0 if linear else dropout,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=drop_last,
        epochs=epochs,
        seed=seed,
        clip=clip,
        scheduler=SCHEDULERS[scheduler],
        schedule_every="step" if "scheduler.every=step" in scheduler else "epoch",
    )
    assert_same_bits(script, overrides, engine)


PAIRS = [(dataset, loss) for dataset, loss in product(DATASETS, CRITERIA) if outputs(dataset, loss) is not None]
BATCHINGS = {"full": (None, False), "online": (1, True), "minibatch": (7, True)}
ONLINE = {loss: (dataset, loss) for dataset, loss in reversed(PAIRS)}.values()
# engine=eager also runs the first steps of engine=replay, so one mode of it is tested; the other modes are slow.
FAST_MODES = [*product(BATCHINGS, ["replay"]), ("minibatch", "eager")]
SLOW_MODES = [("full", "eager"), ("online", "eager")]
MODES = [*FAST_MODES, *(pytest.param(*mode, marks=pytest.mark.slow) for mode in SLOW_MODES)]


def in_every_mode(kinds: Iterable[str]) -> list[Any]:
    """Combine the kinds with all modes. By default each kind is tested in one or two modes, and the rest are slow."""
    kinds = list(kinds)
    slow = [pytest.param(kind, *mode, marks=pytest.mark.slow) for kind, mode in product(kinds, SLOW_MODES)]
    return one_in(3, [*((kind, *mode) for kind, mode in product(kinds, FAST_MODES)), *slow])


@pytest.mark.parametrize(("optimizer", "batching", "engine"), in_every_mode(OPTIMIZERS))
def test_every_optimizer_in_every_mode(optimizer: str, batching: str, engine: str):
    epochs = 12 if batching == "full" else 4  # the first steps are eager: capture, then verification
    compare("iris", "cross_entropy", optimizer, *BATCHINGS[batching], epochs=epochs, engine=engine)


@pytest.mark.parametrize(
    ("dataset", "loss", "batching"),
    [
        # Online, each loss is tested on one dataset, and each pair in full batches or in minibatches; the rest is slow.
        (*pair, batching)
        if (pair in ONLINE if batching == "online" else (number % 2 == 0) == (batching == "full"))
        else pytest.param(*pair, batching, marks=pytest.mark.slow)
        for (number, pair), batching in product(enumerate(PAIRS), BATCHINGS)
    ],
)
def test_every_dataset_with_every_loss_in_every_mode(dataset: str, loss: str, batching: str):
    size, shuffle = BATCHINGS[batching]
    size = 4 if dataset == "xor" and size == 7 else size
    if batching == "online" and dataset in ("digits", "moons", "cancer"):
        size = 3  # tests small batches as well, in a third of the time
    compare(dataset, loss, "optimizer=sgd", size, shuffle, epochs=1)


@pytest.mark.parametrize(("scheduler", "batching", "engine"), in_every_mode(SCHEDULERS))
def test_every_scheduler(scheduler: str, batching: str, engine: str):
    epochs = 12 if batching == "full" else 4
    compare(
        "iris",
        "cross_entropy",
        "optimizer=adam",
        *BATCHINGS[batching],
        scheduler=scheduler,
        epochs=epochs,
        engine=engine,
    )


@pytest.mark.parametrize(
    ("batching", "shuffle", "engine"),
    [
        pytest.param(batching, shuffle, engine, marks=() if shuffle == (engine == "replay") else pytest.mark.slow)
        for batching, shuffle, engine in product(BATCHINGS, [True, False], ["replay", "eager"])
    ],
)
def test_dropout(batching: str, shuffle: bool, engine: str):
    size, _ = BATCHINGS[batching]
    compare("iris", "cross_entropy", "optimizer=sgd", size, shuffle, dropout=0.3, hidden=(8, 8), engine=engine)


def test_lbfgs_on_a_full_batch():
    x, y = DATASETS["wine"]()
    script = Script(
        x, y, nn.CrossEntropyLoss(), optim.LBFGS, {"lr": 0.1}, standardize=True, outputs=3, hidden=[5], epochs=6
    )
    assert_same_bits(
        script, "dataset=wine optimizer=lbfgs optimizer.lr=0.1 batching=full model.hidden=5 epochs=6".split()
    )


RANDOM = given(
    pair=st.sampled_from([pair for pair in PAIRS if pair[0] not in ("digits",)]),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    batch_size=st.none() | st.integers(4, 90),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    hidden=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    activation=st.sampled_from(["relu", "tanh", "sigmoid"]),
    dropout=st.sampled_from([0.0, 0.0, 0.3]),
    scheduler=st.sampled_from(sorted(SCHEDULERS)),
    clip=st.none() | st.sampled_from([0.1, 1.0]),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 2**40),
    linear=st.booleans(),
    engine=st.sampled_from(["eager", "replay", "replay"]),
)


def compare_random(pair: tuple[str, str], batch_size: int | None, linear: bool, **rest: Any) -> None:
    dataset, loss = pair
    if dataset == "xor" and batch_size is not None:
        batch_size = min(batch_size, 4)
    compare(dataset, loss, batch_size=batch_size, linear=linear and loss != "bce", **rest)


@settings(max_examples=6)
@RANDOM
def test_random_configurations(**knobs: Any):
    compare_random(**knobs)


@pytest.mark.slow
@settings(max_examples=60)
@RANDOM
def test_many_random_configurations(**knobs: Any):
    compare_random(**knobs)
