"""RayHead: whether the head of a Ray cluster still answers. Ray itself ends this process a minute after it is gone."""

import socket
import threading
import time
from typing import Any, cast

import ray

from exp.errors import ConfigError

_SECONDS_BETWEEN_CHECKS = 2.0

# The head counts as lost if it has not answered for so long. One with a Redis starts again within seconds.
_MAX_SECONDS = 20.0

# How long the running jobs may then take to save. It is less than Ray leaves this process.
_SECONDS_TO_SAVE = 15.0


class RayHead:
    """Checks in a thread whether something listens at the address of the head, until `close` is called.

    Args:
        address: The one that the user gave; null and auto stand for that of the connection.
    """

    def __init__(self, address: str | None) -> None:
        given = (address or "").removeprefix("ray://")
        self.address = given if ":" in given else str(cast("Any", ray).get_runtime_context().gcs_address)
        self._answered = time.monotonic()
        self._is_lost = False
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    @property
    def is_given_up(self) -> bool:
        """Whether it has been lost for so long that jobs that can save have saved."""
        return self._is_lost and time.monotonic() - self._answered > _MAX_SECONDS + _SECONDS_TO_SAVE

    def lost_error(self) -> ConfigError:
        what = f"the head of the Ray cluster at {self.address} has not answered for {_MAX_SECONDS:g} seconds"
        return ConfigError(what, "ray start --head, or the command without hydra/launcher=ray")

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        host, _, port = self.address.rpartition(":")
        while not self._is_lost and not self._closed.wait(_SECONDS_BETWEEN_CHECKS):
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
                self._answered = time.monotonic()
            except OSError:
                self._is_lost = time.monotonic() - self._answered > _MAX_SECONDS
