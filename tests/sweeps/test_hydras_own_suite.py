"""Hydra's tests for launchers, on ours: that it is one.

They hand it functions of their own, which it makes one after another in this process. What it does with exp's jobs is
tested in the other files here.
"""

import pytest
from hydra import version
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

pytestmark = pytest.mark.filterwarnings("ignore:Future Hydra versions")  # the suite's own configs are of an older kind


@pytest.fixture(autouse=True)
def of_its_time(hydra_restore_singletons: None):
    """With the defaults that the suite was written for, whatever version_base a test before asked for."""
    Singleton._instances.pop(version.VersionBase, None)


def test_hydra_finds_it():
    assert "ExpLauncher" in [found.__name__ for found in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("exp", [])])
class TestExpLauncher(LauncherTestSuite):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=exp"])])
class TestExpLauncherIntegration(IntegrationTestSuite):
    pass
