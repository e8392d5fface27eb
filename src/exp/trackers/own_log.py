"""OwnLog: collect what a sink of the user's own logs at an evaluation, as events for all sinks."""

from pathlib import Path
from typing import Any

from exp.data.batches import Position
from exp.errors import ConfigError
from exp.results.run_folder import FIGURES
from exp.training.events import Drawn, Logged


class OwnLog:
    """Values by name, and pictures, which are saved in `folder`/figures."""

    def __init__(self, folder: Path, at: Position) -> None:
        self._folder, self._at = folder / FIGURES, at
        self._values: dict[str, float] = {}
        self._drawn: list[Drawn] = []

    def scalar(self, name: str, value: float) -> None:
        self._values[name] = float(value)

    def picture(self, name: str, figure: Any) -> None:
        if isinstance(figure, str | Path):
            path = Path(figure)
            if not path.is_file():  # other sinks read it later, where an error would end the run
                what = f"log.picture({name!r}, {str(path)!r}): there is no such file"
                raise ConfigError(what, "the path of a PNG that exists, or a figure of matplotlib")
        elif hasattr(figure, "savefig"):
            self._folder.mkdir(exist_ok=True)
            path = self._folder / f"{name.replace('/', ' ')} {self._at.step}.png"
            figure.savefig(path)
        else:
            what = f"log.picture({name!r}, ...) takes a figure of matplotlib or the path of a PNG"
            raise ConfigError(f"{what}, got {type(figure).__name__}", "a figure, such as that of plt.subplots()")
        self._drawn.append(Drawn(self._at, name, path, 0, 0))

    def events(self) -> list[Logged | Drawn]:
        """Return what was logged."""
        return [*([Logged(self._at, self._values)] if self._values else []), *self._drawn]
