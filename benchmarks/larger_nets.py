"""Print the peak memory and the time of a step of a wide network on a full batch: in pieces, and in bf16.

python benchmarks/larger_nets.py                      on the CPU, two minutes
python benchmarks/larger_nets.py --device cuda        on a GPU: the memory that torch allocated there

Each line trains in a process of its own. Time is that of the fastest step.
"""

import argparse
import json
import subprocess
import sys

NETWORK = "dataset=moons dataset.n_samples=20000 model.hidden=[1024,1024] batching=full epochs=2 engine=eager"
LINES = [
    "",
    "batching.accumulate=4",
    "batching.accumulate=16",
    "precision=bf16",
    "precision=bf16 batching.accumulate=16",
]

TRAIN = """
import json, resource, sys, time
import torch
from hydra import compose, initialize_config_dir
from exp.config.schema import CONF
from exp.config.validation import validate
from exp.training.build import build

with initialize_config_dir(str(CONF), version_base="1.3"):
    it = build(validate(compose("config", sys.argv[1:])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
x, y = it.data.train.x, it.data.train.target
seconds = []
for _ in range(it.plan.steps):
    start = time.perf_counter()
    with torch.no_grad():
        float(it.learner.step([(x, y)]).losses[0])
    seconds.append(time.perf_counter() - start)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
megabytes = torch.cuda.max_memory_allocated() / 2**20 if x.is_cuda else after - before
print(json.dumps({"mb": megabytes, "ms": min(seconds) * 1e3}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    print(f"{'':40}      memory         step")
    for line in LINES:
        words = [*NETWORK.split(), *line.split(), f"device={device}"]
        done = subprocess.run([sys.executable, "-c", TRAIN, *words], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{line or 'the whole batch':40} {found['mb']:8,.0f} MB {found['ms']:9,.0f} ms", flush=True)


if __name__ == "__main__":
    main()
