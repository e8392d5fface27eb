"""Wrong keys of launchers and sweepers, and their help."""

import shlex

import pytest
from conftest import one_in

from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import check_line, diagnose
from exp.cli.help import help_text

RAY = "available: address, cpus_per_job, gpus_per_job, timeout, max_retries, copy_every"


@pytest.mark.parametrize(
    ("line", "problem", "fix"),
    one_in(
        2,
        [
            ("hydra/launcher=ray hydra.launcher.adress=auto", RAY, "hydra.launcher.address=auto"),
            ("hydra.launcher.adress=auto", "(it has none)", "hydra/launcher=ray hydra.launcher.address=auto"),
            ("hydra.launcher.timeout=3", "(it has none)", "hydra/launcher=ray hydra.launcher.timeout=3"),
            ("hydra.launcher.partition=a", "(it has none)", "hydra/launcher=submitit_slurm hydra.launcher.partition=a"),
            ("hydra.launcher.foo=3", "hydra/launcher=exp has no key 'foo'", "python -m exp --help hydra/launcher"),
            ("hydra.launcher.n_jobs=2", "unknown key 'hydra.launcher.n_jobs'", "sweep.workers=2"),
            ("hydra.sweeper.n_jobs=2", "unknown key 'hydra.sweeper.n_jobs'", "sweep.workers=2"),
            ("n_jobs=2", "unknown key 'n_jobs'", "sweep.workers=2"),
            ("hydra.sweeper.n_trial=2", "(it has none)", "hydra/sweeper=optuna hydra.sweeper.n_trials=2"),
            ("hydra.sweeep.dir=a", "of Hydra's, exp uses hydra.run.dir, hydra.sweep.dir", "hydra.sweep.dir=a"),
        ],
    ),
)
def test_a_wrong_key_lists_those_of_its_launcher(line: str, problem: str, fix: str):
    parsed = CommandLine.parse(["-m", "seed=1,2", *shlex.split(line)])
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of Hydra
        check_line(parsed)
    printed = str(diagnose(caught.value, parsed))
    assert problem in printed
    assert f"\n  try: {fix}" in printed


@pytest.mark.parametrize("topic", ["ray", "hydra/launcher=ray", "launcher=ray"])
def test_the_keys_of_a_launcher_are_explained(topic: str):
    text = help_text(CommandLine(overrides=(topic,)))
    assert "hydra.launcher.address=VALUE        auto: " in text
    assert "hydra.launcher.max_retries=3        how often a job is run again" in text


def test_the_help_of_hydra_leads_to_its_launchers_and_sweepers():
    text = help_text(CommandLine(overrides=("hydra",)))
    assert "exp --help hydra/launcher=ray" in " ".join(text.split())
    assert "exp --help hydra/sweeper=optuna" in " ".join(text.split())
    assert "hydra/launcher: where the jobs" in help_text(CommandLine(overrides=("launcher",)))
