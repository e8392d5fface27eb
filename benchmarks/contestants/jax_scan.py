"""A lower bound: all epochs in one jitted JAX program, compiled before timing starts, without any output."""

import jax
import jax.numpy as jnp
from jax import lax, nn
from task import measure, read, report

task = read()
x, y = jnp.asarray(task.x), jnp.asarray(task.y)
activations = {"relu": nn.relu, "tanh": jnp.tanh, "sigmoid": nn.sigmoid, None: lambda z: z}
first = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(task.weights, task.biases, strict=True)]
size, whole = task.batch_size, len(x) // task.batch_size


def loss_of(parameters, xb, yb):
    for weight, bias in parameters[:-1]:
        xb = activations[task.activation](xb @ weight + bias)
    weight, bias = parameters[-1]
    z = xb @ weight + bias
    if task.loss == "CrossEntropyLoss":
        return -jnp.mean(jnp.take_along_axis(nn.log_softmax(z), yb[:, None], 1))
    if task.loss == "MSELoss":
        return jnp.mean((activations[task.output_activation](z) - yb) ** 2)
    return jnp.mean(jnp.maximum(z, 0) - z * yb + jnp.log1p(jnp.exp(-jnp.abs(z))))  # of logits


def step(state, batch):
    return update(state, jax.grad(loss_of)(state[0], *batch)), None


def sgd(state, gradients):
    (parameters,) = state
    return (jax.tree.map(lambda p, g: p - task.lr * g, parameters, gradients),)


def adamw(state, gradients):
    parameters, means, squares, count = state
    beta1, beta2 = task.hyperparameters.get("betas", (0.9, 0.999))
    decay, eps, count = task.hyperparameters.get("weight_decay", 0.01), 1e-8, count + 1
    means = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, means, gradients)
    squares = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, squares, gradients)
    size, root = task.lr / (1 - beta1**count), jnp.sqrt(1 - beta2**count)

    def move(p, m, v):
        return p * (1 - task.lr * decay) - size * m / (jnp.sqrt(v) / root + eps)

    return jax.tree.map(move, parameters, means, squares), means, squares, count


zeros = jax.tree.map(jnp.zeros_like, first)
if task.optimizer == "AdamW":
    update, start = adamw, (first, zeros, zeros, jnp.float32(0))
else:
    task.refuse_all_but_plain_sgd()
    update, start = sgd, (first,)


def epoch(_, carry):
    state, key = carry
    key, draw = jax.random.split(key)
    order = jax.random.permutation(draw, len(x)) if task.shuffle else jnp.arange(len(x))
    xs, ys = x[order], y[order]
    batches = tuple(rows[: whole * size].reshape(whole, size, *rows.shape[1:]) for rows in (xs, ys))
    state, _ = lax.scan(step, state, batches)
    if whole * size < len(x) and not task.drop_last:
        state, _ = step(state, (xs[whole * size :], ys[whole * size :]))
    return state, key


@jax.jit
def train(state, epochs):
    return lax.fori_loop(0, epochs, epoch, (state, jax.random.key(0)))[0]


jax.block_until_ready(train(start, 1))
ends = []
seconds = measure(lambda: ends.append(jax.block_until_ready(train(start, task.epochs))))
report(task, seconds, float(loss_of(ends[0][0], x, y)))
