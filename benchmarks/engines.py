"""Microseconds a step of the training loop, its evaluations and events included, no files: the two engines in turn.

python benchmarks/engines.py
"""

import statistics
import time

from hydra import compose, initialize_config_dir

from exp.build import build
from exp.config import CONF, check
from exp.loop import train

WORKLOADS = {
    "xor, 4 points": "experiment=xor_mse epochs=20000",
    "cancer, batches of 10": "dataset=cancer epochs=100",
    "noisy xor, batches of 128": "experiment=noisy_xor",
    "64x5 net, online": "experiment=signal_background batching=online epochs=5",
    "64x5 net, batches of 10": "experiment=signal_background batching=minibatch epochs=30",
    "64x5 net, full batch": "experiment=signal_background batching=full epochs=300",
    "distance, 40,401 rows": "experiment=distance epochs=300",
}
ROUNDS = 5


def microseconds(line: str, engine: str) -> float:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", [*line.split(), f"engine={engine}", "threads=1"]))
    experiment = build(config)
    began = time.perf_counter()
    for _ in train(experiment.learner, experiment.batches, experiment.data, experiment.plan):
        pass
    return (time.perf_counter() - began) / experiment.plan.steps * 1e6


def main() -> None:
    for name, line in WORKLOADS.items():
        rounds = [(microseconds(line, "eager"), microseconds(line, "recorded")) for _ in range(ROUNDS)]
        eager, recorded = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratio = statistics.median(eager / recorded for eager, recorded in rounds)
        print(f"{name:26} eager {eager:6.0f} us, recorded {recorded:6.0f} us, {ratio:.2f} x", flush=True)


if __name__ == "__main__":
    main()
