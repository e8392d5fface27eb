"""Write the training rows and initial parameters of a run of `exp`, for the other contestants to train with.

python benchmarks/write_task.py task.npz dataset=cancer epochs=285
"""

import json
import sys
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from exp.config.allowlist import READ_BY_EXP
from exp.config.schema import CONF
from exp.config.validation import validate
from exp.training.build import build


def write_task(overrides: list[str], path: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = validate(compose("config", overrides))
    experiment = build(config)
    rows = experiment.batches.rows
    parameters = [parameter.detach().numpy() for parameter in experiment.model.parameters()]
    layers = {f"weight{i}": weight.T for i, weight in enumerate(parameters[::2])}
    layers |= {f"bias{i}": bias for i, bias in enumerate(parameters[1::2])}
    of_exp = ("_target_", *READ_BY_EXP["optimizer"])
    settings = {
        "activation": config.model["activation"],
        "output_activation": config.model["output_activation"],
        "loss": type(experiment.objective.criterion).__name__,
        "optimizer": type(experiment.learner.optimizer).__name__,
        "hyperparameters": {key: value for key, value in config.optimizer.items() if key not in of_exp},
        "epochs": config.epochs,
        "batch_size": experiment.batches.size,
        "shuffle": experiment.batches.shuffle,
        "drop_last": experiment.batches.drop_last,
    }
    np.savez(path, x=rows.x.numpy(), y=rows.y.numpy(), settings=json.dumps(settings), **layers)


if __name__ == "__main__":
    write_task(sys.argv[2:], Path(sys.argv[1]))
