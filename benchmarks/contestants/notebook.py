"""The loop of a teaching notebook: a DataLoader, and .item() for the loss and accuracy of every batch."""

import torch
from net import criterion, final_loss, loader, model, optimizer
from task import measure, read, report

torch.set_num_threads(1)
task = read()
batches = loader(task)
net, loss_of = model(task), criterion(task)
update = optimizer(task, net)
losses: list[float] = []
accuracies: list[float] = []


def train() -> None:
    for _ in range(task.epochs):
        for xb, yb in batches:
            update.zero_grad()
            output = net(xb)
            loss = loss_of(output, yb)
            loss.backward()
            update.step()
            losses.append(loss.item())
            if task.loss == "CrossEntropyLoss":
                accuracies.append((output.argmax(1) == yb).float().mean().item())
            elif task.loss != "MSELoss":
                threshold = 0 if task.loss == "BCEWithLogitsLoss" else 0.5
                accuracies.append(((output >= threshold) == yb).float().mean().item())


report(task, measure(train), final_loss(task, net))
