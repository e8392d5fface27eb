"""What Hydra notes down beside a job, .hydra/*.yaml and its log's settings, as its own launcher writes it.

Of jobs that choose the same options it differs in a few words, so it is made once and those are filled in.
"""

import copy
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

# No number of a job, no word of a command line.
_NUMBER, _WORDS, _NAME, _FOLDER = 918273645, "__WORDS__", "__NAME__", "__FOLDER__"


# What the settings of a log may name and be those of every job, but for the folder.
_SHARED = {"${hydra.runtime.output_dir}", "${hydra.job.name}"}


class HydraFiles:
    """Of the jobs whose config begins as `base`, a whole config of Hydra's."""

    def __init__(self, base: DictConfig) -> None:
        cfg = copy.deepcopy(base)
        with read_write(cfg), open_dict(cfg):
            cfg.hydra.job.num, cfg.hydra.job.id = _NUMBER, str(_NUMBER)
            cfg.hydra.job.override_dirname = _NAME
            cfg.hydra.overrides.task = [_WORDS]
            cfg.hydra.runtime.output_dir = _FOLDER
        HydraConfig.instance().set_config(cfg)
        self._settings = OmegaConf.to_yaml(HydraConfig.instance().cfg)
        log, environment = cfg.hydra.job_logging, cfg.hydra.job.env_set
        written = json.dumps([OmegaConf.to_container(node) for node in (log, environment)])
        self._is_shared = set(re.findall(r"\$\{.*?\}", written)) <= _SHARED
        self._live = json.dumps([OmegaConf.to_container(node, resolve=True) for node in (log, environment)])

    def write(self, folder: Path, task: DictConfig, words: Sequence[str], number: int, name: str) -> None:
        """Write .hydra/config.yaml, hydra.yaml and overrides.yaml into the job's folder."""
        told = self._settings.replace(str(_NUMBER), str(number)).replace(_NAME, json.dumps(name))
        told = told.replace(_FOLDER, json.dumps(str(folder.absolute())))
        line = re.search(rf"^( *)- {_WORDS}\n", told, re.MULTILINE)
        assert line is not None
        listed = "".join(f"{line[1]}- {json.dumps(word)}\n" for word in words)
        told = told[: line.start()] + (listed or f"{line[1]}  []\n") + told[line.end() :]
        overrides = OmegaConf.to_yaml(list(words))
        (folder / ".hydra").mkdir(parents=True, exist_ok=True)
        for file, text in (("config", OmegaConf.to_yaml(task)), ("hydra", told), ("overrides", overrides)):
            (folder / ".hydra" / f"{file}.yaml").write_text(text, encoding="utf-8")

    def live(self, folder: Path, whole: Callable[[], DictConfig]) -> tuple[dict[str, Any], dict[str, str]]:
        """The settings of the job's log and environment; where they speak of the job, out of its `whole` config."""
        if self._is_shared:
            log, environment = json.loads(self._live.replace(_FOLDER, json.dumps(str(folder.absolute()))[1:-1]))
            return log, environment
        cfg = whole()
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            cfg.hydra.runtime.output_dir = str(folder.absolute())
        parts = (cfg.hydra.job_logging, cfg.hydra.job.env_set)
        log, environment = (cast("dict[str, Any]", OmegaConf.to_container(part, resolve=True)) for part in parts)
        return log, environment
