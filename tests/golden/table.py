"""Print the table of the five experiments: results of the notebook, the plain script and the command.

python tests/golden/table.py
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import plain
import torch


def exp(*arguments: str) -> tuple[dict[int, float], dict[str, dict[str, float]], list[float]]:
    """Run the command; return validation losses by step, final metrics by split, and logged training losses."""
    with tempfile.TemporaryDirectory() as folder:
        line = [*arguments, "figures=false", "threads=1", f"hydra.run.dir={folder}"]
        subprocess.run([sys.executable, "-m", "exp", *line], check=True, stdout=subprocess.DEVNULL)
        rows = list(csv.DictReader((Path(folder) / "metrics.csv").open()))
        final = json.loads((Path(folder) / "summary.json").read_text())["final"]
    losses = {int(row["step"]): float(row["loss"]) for row in rows if row["split"] == "val"}
    return losses, final, [float(row["loss"]) for row in rows if row["split"] == "train"]


def row(preset: str, figure: str, notebook: str, script: str, ours: str) -> None:
    print(f"| {preset} | {figure} | {notebook} | {script} | {ours} |")


def main() -> None:
    torch.set_num_threads(1)

    steps = (0, 2000, 9000)
    losses, _ = plain.xor_softmax()
    val, _, _ = exp("experiment=xor_softmax")
    script, ours = (" ".join(f"{of[step]:.4f}" for step in steps) for of in (losses, val))
    row("xor_softmax", "loss at update 1, 2001, 9001", "0.8012 0.0035 0.0002", script, ours)

    losses, _, _, accuracy = plain.cancer_raw()
    _, final, trained = exp("experiment=cancer_raw")
    script = f"{losses[0]:.4f} {accuracy['val']:.4f} {accuracy['test']:.4f}"
    ours = f"{trained[0]:.4f} {final['val']['accuracy']:.4f} {final['test']['accuracy']:.4f}"
    row("cancer_raw", "first loss, val and test accuracy", "33.3991 .6637 .6087", script, ours)

    _, _, accuracy = plain.noisy_xor()
    _, final, _ = exp("experiment=noisy_xor")
    row("noisy_xor", "test accuracy", "100.00 %", f"{accuracy:.2%}", f"{final['test']['accuracy']:.2%}")

    losses, _ = plain.xor_mse()
    _, final, _ = exp("experiment=xor_mse")
    row("xor_mse", "final loss", "3.18e-4, 3.1 to 3.6 by seed", f"{losses[-1]:.3g}", f"{final['train']['loss']:.3g}")

    losses, _ = plain.distance()
    val, _, _ = exp("experiment=distance")
    row("distance", "loss at update 5001", "17.19", f"{losses[5000]:.4f}", f"{val[5000]:.4f}")

    for batching, batch_size, notebook in (("full", 1100, ".675"), ("minibatch", 10, ".487"), ("online", 1, ".212")):
        _, _, loss = plain.signal_background(batch_size)
        _, final, _ = exp("experiment=signal_background", f"batching={batching}")
        name = f"signal_background, {batching}"
        row(name, "loss after the epoch", notebook, f"{loss:.6f}", f"{final['val']['loss']:.6f}")


if __name__ == "__main__":
    main()
