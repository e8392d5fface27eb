"""Keras's compile and fit with the backend KERAS_BACKEND; with JAX, all steps of an epoch in one execution.

One epoch runs before timing starts, so that JAX compiles; the parameters are reset after it.
"""

import os

import keras
from keras import layers, losses, optimizers
from task import measure, read, report

task = read()
whole = task.steps_per_epoch * task.batch_size if task.drop_last else len(task.x)  # fit has no drop_last
x, y = task.x[:whole], task.y[:whole]
names = [task.activation] * (len(task.weights) - 1) + [task.output_activation]
net = keras.Sequential([keras.Input(task.x.shape[1:])])
for weight, name in zip(task.weights, names, strict=True):
    net.add(layers.Dense(weight.shape[1], activation=name))
first = [array for pair in zip(task.weights, task.biases, strict=True) for array in pair]
net.set_weights(first)
loss = {
    "CrossEntropyLoss": losses.SparseCategoricalCrossentropy(from_logits=True),
    "BCEWithLogitsLoss": losses.BinaryCrossentropy(from_logits=True),
    "BCELoss": losses.BinaryCrossentropy(),
    "MSELoss": losses.MeanSquaredError(),
}[task.loss]
given = task.hyperparameters
if task.optimizer == "AdamW":
    (beta_1, beta_2), decay = given["betas"], given["weight_decay"]
    optimizer = optimizers.AdamW(task.lr, beta_1=beta_1, beta_2=beta_2, epsilon=given["eps"], weight_decay=decay)
else:
    task.refuse_all_but_plain_sgd()
    optimizer = optimizers.SGD(task.lr)
if os.environ["KERAS_BACKEND"] == "torch":
    import torch

    torch.set_num_threads(1)
    net.compile(optimizer, loss)
else:
    net.compile(optimizer, loss, steps_per_execution=task.steps_per_epoch)


def fit(epochs: int) -> None:
    net.fit(x, y, batch_size=task.batch_size, epochs=epochs, shuffle=task.shuffle, verbose=0)


fit(1)
net.set_weights(first)
report(task, measure(lambda: fit(task.epochs)), float(net.evaluate(task.x, task.y, batch_size=len(task.x), verbose=0)))
