"""Connect to a Ray cluster, or start one, and count the jobs that it has room for."""

import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import ray
from omegaconf import DictConfig
from ray.exceptions import RayError

from exp.errors import ConfigError
from exp.sweeps.executors.ray_token import HOW_TO_DISABLE, HOW_TO_GIVE, has_token_mode, remember_mode, use_own_token

# Nothing large is in the object store: the workers write files.
_STORE_BYTES = 100 * 2**20


_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class RaySettings:
    """The settings of hydra/launcher=ray, which `RayConf` in hydra_plugins describes."""

    address: str | None
    cpus_per_job: float
    gpus_per_job: float | None
    timeout: float
    max_retries: int
    copy_every: float

    def no_cluster(self, reason: str) -> ConfigError:
        return _error(
            f"hydra.launcher.address={self.address}: no Ray cluster within {self.timeout:g} seconds: {reason}",
            "ray start --head on the first machine; RAY_AUTH_MODE=token here if the cluster asks for a token; or "
            "hydra.launcher.address=null, which starts a cluster here",
            "address",
        )

    def no_token(self, reason: str) -> ConfigError:
        return _error(
            f"hydra.launcher.address={self.address}: the token of the Ray cluster is missing or wrong: {reason}",
            f"RAY_AUTH_MODE=token {HOW_TO_GIVE}; or {HOW_TO_DISABLE}",
            "address",
        )

    def no_room(self) -> ConfigError:
        what, fix = (
            "was free for a job within",
            "fewer CPUs or GPUs per job, more nodes, or a longer hydra.launcher.timeout",
        )
        return self._no_room(f"{what} {self.timeout:g} seconds", fix)

    def too_small(self) -> ConfigError:
        fix = "fewer CPUs or GPUs per job, or the hydra.launcher.address of a larger cluster"
        return self._no_room("is large enough for a job", fix)

    def _no_room(self, what: str, fix: str) -> ConfigError:
        gpus = "" if not self.gpus_per_job else f", hydra.launcher.gpus_per_job={self.gpus_per_job:g}"
        return _error(
            f"hydra.launcher.cpus_per_job={self.cpus_per_job:g}{gpus}: no node of the Ray cluster {what} "
            f"({_describe_nodes()})",
            fix,
            "cpus_per_job",
        )

    def other_versions(self, ours: Mapping[str, str | None], theirs: Mapping[str, str | None]) -> ConfigError:
        different = [f"{name} {theirs[name]} there, {own} here" for name, own in ours.items() if theirs[name] != own]
        return _error(
            f"hydra/launcher=ray: a node has other versions, which may change the numbers: {', '.join(different)}",
            "the same versions on all nodes",
        )

    def cannot_start(self, reason: str) -> ConfigError:
        token = f"{HOW_TO_DISABLE}; else " if self.address is not None and has_token_mode() else ""
        return _error(
            f"hydra/launcher=ray: a worker could not be started: {reason.strip().splitlines()[-1]}",
            f"{token}a Python environment with exp on all nodes, at the same path as here or active at `ray start`",
        )


def read_settings(config: DictConfig) -> RaySettings:
    """Return the settings of hydra/launcher=ray. ConfigError if one is not allowed."""
    given = config.hydra.launcher
    gpus = given.gpus_per_job
    if gpus is None and config.device.name == "cpu":
        gpus = 0
    settings = RaySettings(given.address, given.cpus_per_job, gpus, given.timeout, given.max_retries, given.copy_every)
    for name, number in {"cpus_per_job": settings.cpus_per_job, "gpus_per_job": gpus or 0}.items():
        if not (0 <= number <= 1 or (number > 1 and float(number).is_integer())):
            what = f"hydra.launcher.{name} must be a number from 0 to 1, or a whole number, got {number:g}"
            raise _error(what, f"hydra.launcher.{name}=1", name)
    if settings.cpus_per_job == 0 and not gpus:
        raise _error(
            "hydra.launcher.cpus_per_job must be > 0 for a job without GPUs, got 0",
            "hydra.launcher.cpus_per_job=1",
            "cpus_per_job",
        )
    for name, least in {"timeout": 0, "max_retries": 0, "copy_every": 0.1}.items():
        if not getattr(settings, name) >= least:  # also if it is nan
            what = f"hydra.launcher.{name} must be >= {least:g}, got {getattr(settings, name):g}"
            raise _error(what, f"hydra.launcher.{name}={least:g}", name)
    return settings


def _error(problem: str, fix: str, setting: str | None = None) -> ConfigError:
    return ConfigError(problem, fix, key=f"hydra.launcher.{setting}" if setting else None)


def connect(settings: RaySettings) -> Callable[[], None] | None:
    """Connect to the cluster, and return a function that ends the connection; None for a connection of the caller.

    Raises:
        ConfigError: There is no cluster at the address within the timeout, or it asks for another token.
    """
    if ray.is_initialized():
        return None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    restore = use_own_token() if settings.address is None else remember_mode()
    try:
        if settings.address is None:
            _init(address="local", include_dashboard=False, object_store_memory=_STORE_BYTES)
        else:
            _wait_for_cluster(settings, settings.address)
    except BaseException:
        restore()
        raise

    def disconnect() -> None:
        ray.shutdown()
        restore()

    return disconnect


def _wait_for_cluster(settings: RaySettings, address: str) -> None:
    deadline, is_told = time.monotonic() + settings.timeout, False
    while True:
        try:
            _check_listens(address)
            _init(address=address)
            return
        except (OSError, ValueError, RuntimeError, RayError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if isinstance(error, RayError):
                raise settings.no_token(reason.partition(". ")[0]) from error
            if isinstance(error, ValueError) or time.monotonic() > deadline:
                raise settings.no_cluster(reason) from error
            if not is_told:
                print(f"waiting for the Ray cluster at {address}, at most {settings.timeout:g} seconds")
                is_told = True
            time.sleep(_RETRY_SECONDS)


def _check_listens(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT. Ray would end this process after a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def _init(**arguments: Any) -> None:
    """Call ray.init() without its log lines. It replaces the handler of SIGTERM, which is restored."""
    before = signal.getsignal(signal.SIGTERM)
    init = cast("Any", ray.init)  # pyright: ignore[reportUnknownMemberType]
    init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _nodes() -> list[dict[str, float]]:
    """Return the resources of each node that is alive."""
    nodes: list[dict[str, Any]] = cast("Any", ray).nodes()
    return [node["Resources"] for node in nodes if node["Alive"]]


def has_gpus() -> bool:
    return any(node.get("GPU", 0) > 0 for node in _nodes())


def count_room(cpus: float, gpus: float) -> int:
    """Return how many jobs with so many CPUs and GPUs the nodes can run at the same time."""
    needed = {"CPU": cpus, "GPU": gpus}
    room = (
        min(math.floor(node.get(name, 0) / amount + 1e-9) for name, amount in needed.items() if amount > 0)
        for node in _nodes()
    )
    return sum(room)


def _describe_nodes() -> str:
    texts = [f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in _nodes()]
    return f"its nodes: {'; '.join(texts)}" if texts else "it has no nodes"
