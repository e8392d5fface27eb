"""The task in JAX: the parameters, and a step that updates them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import nn
from task import Task

# Parameters and what the optimizer keeps, batch -> the same after the step, loss and outputs before it.
Step = Callable[[Any, Any], tuple[Any, tuple[jax.Array, jax.Array]]]
Loss = Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]

ACTIVATIONS = {"relu": nn.relu, "tanh": jnp.tanh, "sigmoid": nn.sigmoid, None: lambda z: z}


def make_loss(task: Task) -> Loss:
    """Return a function of parameters and rows that returns the loss and the outputs."""

    def compute(parameters: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        for weight, bias in parameters[:-1]:
            x = ACTIVATIONS[task.activation](x @ weight + bias)
        weight, bias = parameters[-1]
        z = x @ weight + bias
        if task.loss == "CrossEntropyLoss":
            return -jnp.mean(jnp.take_along_axis(nn.log_softmax(z), y[:, None], 1)), z
        output = ACTIVATIONS[task.output_activation](z)
        if task.loss == "MSELoss":
            return jnp.mean((output - y) ** 2), output
        return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))), output  # of logits

    return compute


def make_step(task: Task) -> tuple[Any, Step]:
    """Return the first state and the step."""
    first = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(task.weights, task.biases, strict=True)]
    zeros = jax.tree.map(jnp.zeros_like, first)
    differentiate = jax.value_and_grad(make_loss(task), has_aux=True)
    if task.optimizer == "AdamW":
        update, start = _adamw(task), (first, zeros, zeros, jnp.float32(0))
    else:
        task.refuse_all_but_plain_sgd()
        update, start = _sgd(task), (first,)

    def step(state: Any, batch: Any) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        computed, gradients = differentiate(state[0], *batch)
        return update(state, gradients), computed

    return start, step


def _sgd(task: Task) -> Callable[[Any, Any], Any]:
    def update(state: Any, gradients: Any) -> Any:
        (parameters,) = state
        return (jax.tree.map(lambda p, g: p - task.lr * g, parameters, gradients),)

    return update


def _adamw(task: Task) -> Callable[[Any, Any], Any]:
    beta1, beta2 = task.hyperparameters.get("betas", (0.9, 0.999))
    decay, eps = task.hyperparameters.get("weight_decay", 0.01), 1e-8

    def update(state: Any, gradients: Any) -> Any:
        parameters, means, squares, count = state
        count = count + 1
        means = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, means, gradients)
        squares = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, squares, gradients)
        size, root = task.lr / (1 - beta1**count), jnp.sqrt(1 - beta2**count)

        def move(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            return p * (1 - task.lr * decay) - size * m / (jnp.sqrt(v) / root + eps)

        return jax.tree.map(move, parameters, means, squares), means, squares, count

    return update
