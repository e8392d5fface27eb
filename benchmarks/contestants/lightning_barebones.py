"""Lightning with `barebones=True`: no logging, progress bar or checkpoints."""

import time
import warnings

import lightning
import torch
from net import criterion, final_loss, loader, model, optimizer
from task import read, report

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
task = read()


class Module(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.loss_of = model(task), criterion(task)
        self.seconds = 0.0

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        return self.loss_of(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer(task, self.net)

    def on_train_start(self) -> None:
        self.start = time.perf_counter()

    def on_train_end(self) -> None:
        self.seconds = time.perf_counter() - self.start


module = Module()
trainer = lightning.Trainer(accelerator="cpu", max_epochs=task.epochs, barebones=True)
trainer.fit(module, loader(task))
report(task, module.seconds, final_loss(task, module.net))
