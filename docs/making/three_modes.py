"""Draw three_modes.png, the picture of the README: the figure of the sweep that the documentation shows.

python docs/making/three_modes.py
"""

import shutil
import tempfile
from pathlib import Path

from exp import sweep

WORDS = ("experiment=signal_background", "epochs=1,100", "batching=full,minibatch,online")


def main() -> None:
    target = Path(__file__).parents[1] / "three_modes.png"
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(*WORDS, f"hydra.sweep.dir={folder}/modes")
        shutil.copy(found.folder / "figures/decision_surfaces.png", target)
    print(target)


if __name__ == "__main__":
    main()
