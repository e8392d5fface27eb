"""cluster_job.json in the folder of a run: the cluster job that was submitted for it, which a resumed sweep awaits."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from submitit import Job, LocalJob, SlurmJob

from exp.results import summary
from exp.results.atomic import replacement
from exp.results.heartbeat import describe_process, is_alive, is_here
from exp.results.run_folder import CLUSTER_JOB, SUMMARY
from exp.sweeps.task import Outcome


class _Orphan:
    """The process of a local job that another sweep started, with the methods of Popen that submitit uses."""

    def __init__(self, process: dict[str, Any], run: Path) -> None:
        self._process, self._run = process, run
        self._is_abandoned = False

    def poll(self) -> int | None:
        return None if not self._is_abandoned and is_alive(self._process, self._run / SUMMARY) else 0

    def send_signal(self, which: int) -> None:
        """Send the signal. A process on another machine gets none, and counts as ended from now on."""
        if not is_here(self._process):
            self._is_abandoned = True
        elif self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._process["pid"], which)


def write(run: Path, job: "Job[Outcome]") -> None:
    """Write that `job` was submitted for the run."""
    is_local = isinstance(job, LocalJob)
    content: dict[str, Any] = {"cluster": "local" if is_local else "slurm", "job_id": job.job_id}
    if is_local:  # whose ID is that of its process
        content["process"] = describe_process(int(job.job_id))
    with replacement(run / CLUSTER_JOB) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def read_outcome(run: Path, job: "Job[Outcome]") -> Outcome:
    """Return the outcome of a job that has ended by the summary of its run: its pickled result is not trusted."""
    content = summary.read(run)
    status = content.get("status")
    if status in ("finished", "pruned", "interrupted"):
        return Outcome(interrupted=status == "interrupted")
    ended = f"cluster job {job.job_id} ended without a result: {job.paths.stdout}"
    return Outcome(content["error"] if status in ("failed", "diverged") else ended)


def find_running(run: Path, cluster: str, submitit_folder: str) -> "Job[Outcome] | None":
    """Return the job that was submitted for the run to this kind of cluster, if it is queued or runs."""
    try:
        content: Any = json.loads((run / CLUSTER_JOB).read_text(encoding="utf-8"))
        if content["cluster"] != cluster:
            return None
        if cluster == "local":
            orphan = cast("Any", _Orphan(content["process"], run))
            job = LocalJob[Outcome](submitit_folder, content["job_id"], process=orphan)
        else:
            job = SlurmJob[Outcome](submitit_folder, content["job_id"])
            state = job.watcher.get_state(job.job_id, mode="force")
            # The scheduler forgets a job some time after its end.
            if state == "UNKNOWN" and summary.read(run).get("status") != "running":
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if job.done() else job
