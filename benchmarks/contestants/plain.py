"""A fast plain loop: no DataLoader, one gather per epoch, no .item(), no logging or validation."""

import torch
from net import criterion, final_loss, model, optimizer, rows
from task import measure, read, report

torch.set_num_threads(1)
task = read()
x, y = rows(task)
net, loss_of = model(task), criterion(task)
update = optimizer(task, net)


def train() -> None:
    for _ in range(task.epochs):
        order = torch.randperm(len(x)) if task.shuffle else None
        xs, ys = (x, y) if order is None else (x[order], y[order])
        for xb, yb in zip(xs.split(task.batch_size), ys.split(task.batch_size), strict=True):
            if task.drop_last and len(xb) < task.batch_size:
                break
            update.zero_grad()
            loss = loss_of(net(xb), yb)
            loss.backward()
            update.step()


report(task, measure(train), final_loss(task, net))
