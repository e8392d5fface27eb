"""Hydra's own tests for launchers, run on exp's launcher.

The suite passes its own functions, which the launcher runs one after another in this process. The other files here test
the launcher with exp's jobs.
"""

import pytest
from hydra import version
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

pytestmark = pytest.mark.filterwarnings(
    "ignore:Future Hydra versions"
)  # the suite's configs are written for an older Hydra


@pytest.fixture(autouse=True)
def older_defaults(hydra_restore_singletons: None):
    """Reset version_base: the suite is written for the defaults of an older Hydra."""
    Singleton._instances.pop(version.VersionBase, None)


def test_hydra_finds_the_launcher():
    assert "ExpLauncher" in [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("exp", [])])
class TestExpLauncher(LauncherTestSuite):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=exp"])])
class TestExpLauncherIntegration(IntegrationTestSuite):
    pass
