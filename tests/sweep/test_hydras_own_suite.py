"""Hydra's tests for launchers, on ours."""

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

pytestmark = pytest.mark.filterwarnings("ignore:Future Hydra versions")  # the suite's own configs are of an older kind


def test_hydra_finds_it():
    assert "ExpLauncher" in [found.__name__ for found in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("exp", [])])
class TestExpLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=exp"])])
class TestExpLauncherIntegration(IntegrationTestSuite):
    pass
