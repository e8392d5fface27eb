"""What the comments and lines of a user's YAML file say, also where an editor put a byte order mark before it."""

from pathlib import Path
from typing import Any

import pytest

from exp.config.yaml_comments import keys_in, line_of

TEXT = '# My rows.\ndefaults: [arrays]\npath: "q"  # The file.\nlabels: "v"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_of_the_user_may_begin_with_a_byte_order_mark(encoding: str, tmp_path: Path, exp: Any):
    path = tmp_path / "conf/dataset/own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT, encoding=encoding)
    assert keys_in(path, "dataset") == ["path", "labels"]
    assert line_of(path, "dataset.labels") == 4
    path.write_text('path: "q"\nlabels: "v"  # Their names.\n', encoding=encoding)
    assert keys_in(path, "dataset") == ["path", "labels"]
    path.write_text(TEXT, encoding=encoding)
    shown = exp("--config-dir", "conf", "--help", "dataset=own")
    assert shown.returncode == 0, shown.stderr
    assert "dataset=own: My rows." in shown.stdout
    unknown = exp("--config-dir", "conf", "dataset=own", "dataset.labls=1")
    assert unknown.returncode == 1
    assert "dataset.labels" in unknown.stderr
