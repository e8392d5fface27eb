"""OmegaConf's YAML loader with the parser in C, in the processes of the tests: it takes a third of the time.

tests/config/test_every_yaml.py compares the results with those of OmegaConf itself.
"""

import io
from typing import Any

import yaml
from omegaconf import _utils, basecontainer
from omegaconf._utils import get_yaml_loader
from yaml.cyaml import CParser


class Loader:
    """Read YAML in C, and again in Python if there is an error, which it describes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._text = stream if isinstance(stream, str | bytes) else stream.read()

    def get_single_data(self) -> Any:
        try:
            return self._read(_InC(self._text))
        except yaml.YAMLError:
            if self._stream is self._text:
                return self._read(_in_python(self._text))
            again = io.StringIO(self._text) if isinstance(self._text, str) else io.BytesIO(self._text)
            again.name = getattr(self._stream, "name", "<file>")  # which the message has
            return self._read(_in_python(again))

    @staticmethod
    def _read(loader: Any) -> Any:
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()

    def dispose(self) -> None:
        pass


_in_python = get_yaml_loader()


class _InC(CParser, _in_python):
    def __init__(self, stream: Any) -> None:
        CParser.__init__(self, stream)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


# What is changed: where, its name, and ours.
CHANGES: list[tuple[Any, str, Any]] = [
    (module, "get_yaml_loader", lambda: Loader) for module in (_utils, basecontainer)
]
