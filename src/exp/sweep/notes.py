"""What Hydra notes down beside a job, .hydra/*.yaml and its log's settings, as its own launcher writes it.

Of jobs that choose the same options it differs in a few words, so it is made once and those are filled in.
"""

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

# No number of a job, no word of a command line.
_NUMBER, _WORDS, _NAME, _FOLDER = 918273645, "__WORDS__", "__NAME__", "__FOLDER__"


class Notes:
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

    def live(self, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
        """The settings of the job's log, and of its environment."""
        text = self._live.replace(_FOLDER, json.dumps(str(folder.absolute()))[1:-1])
        log, environment = json.loads(text)
        return log, environment
