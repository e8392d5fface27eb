"""Compare what runs of engine=compiled end with with those of engine=eager: losses, metrics and parameters.

python benchmarks/compiled_results.py                                    28 runs of each, two minutes
python benchmarks/compiled_results.py "dataset=iris optimizer=adam"      one of each
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from exp import train

LINES = [
    *(f"dataset=cancer optimizer={name}" for name in ("sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam")),
    "dataset=cancer optimizer.momentum=0.9 optimizer.nesterov=true",
    "dataset=cancer loss=bce_with_logits",
    "dataset=cancer loss=bce model.output_activation=sigmoid",
    "dataset=cancer loss=mse",
    *(f"dataset=diabetes loss={name}" for name in ("mse", "l1", "huber")),
    "dataset=iris loss=auto_smooth",
    "dataset=wine model=linear",
    "dataset=cancer model.dropout=0.2",
    *(
        f"dataset=cancer epochs=20 model={name}"
        for name in ("tabular_mlp", "realmlp", "realmlp_s", "tabm", "tabm_small")
    ),
    "dataset=digits",
    *(f"dataset=digits model={name} epochs=2" for name in ("cnn", "gru", "lstm")),
    "dataset=moons batching=online epochs=20",
    "experiment=xor_mse epochs=3000",
    "experiment=noisy_xor epochs=300",
]


def run(line: str, engine: str, folder: Path) -> tuple[dict[str, dict[str, float]], list[Tensor], str]:
    """Return the final metrics by split, the parameters, and what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        train(*line.split(), f"engine={engine}", "threads=1", "figures=false", f"hydra.run.dir={folder}")
    final = json.loads((folder / "summary.json").read_text())["final"]
    state: dict[str, Any] = torch.load(folder / "checkpoints/last.pt", weights_only=True)["model"]
    return final, [value.double() for value in state.values() if value.is_floating_point()], printed.getvalue()


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference, of the largest of their values; infinite values, in buffers, are equal."""
    largest = float(theirs[theirs.isfinite()].abs().max())
    return float((ours - theirs).abs().nan_to_num(0).max()) / largest if largest else 0.0


def main() -> None:
    print(f"{'':61} {'training loss':>19} {'test metric':>19}  a parameter differs by, of the tensor's largest")
    for line in sys.argv[1:] or LINES:
        with tempfile.TemporaryDirectory() as folder:
            theirs, eager, _ = run(line, "eager", Path(folder) / "eager")
            ours, compiled, printed = run(line, "compiled", Path(folder) / "compiled")
        split = "test" if "test" in ours else "train"
        metric = list(ours[split])[1]
        losses = f"{theirs['train']['loss']:9.6g} {ours['train']['loss']:9.6g}"
        metrics = f"{theirs[split][metric]:9.6g} {ours[split][metric]:9.6g}"
        difference = max(distance(*both) for both in zip(compiled, eager, strict=True))
        reason = printed.partition("engine=replay is in use: ")[2].partition("\n")[0]
        print(f"{line:61} {losses} {metrics}  {difference:.1e}  {reason and f'replay: {reason}'}", flush=True)


if __name__ == "__main__":
    main()
