"""skorch without callbacks, validation or output."""

import torch
from net import final_loss, loader, model
from skorch import NeuralNet
from task import measure, read, report
from torch import nn

torch.set_num_threads(1)
task = read()
net = NeuralNet(
    model(task),
    getattr(nn, task.loss),
    optimizer=getattr(torch.optim, task.optimizer),
    **{"lr" if name == "lr" else f"optimizer__{name}": value for name, value in task.hyperparameters.items()},
    max_epochs=task.epochs,
    iterator_train=lambda *_, **__: loader(task),
    train_split=None,
    callbacks="disable",
    verbose=0,
)
net.initialize()
report(task, measure(lambda: net.partial_fit(task.x, task.y)), final_loss(task, net.module_))
