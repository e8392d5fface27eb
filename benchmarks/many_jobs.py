"""Measure what a sweep of many jobs of about a millisecond of training costs: seconds, files, bytes, memory, readers.

python benchmarks/many_jobs.py                 10,000 jobs
python benchmarks/many_jobs.py --jobs 1000 --workers 2
"""

import argparse
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

# Each rate is one choice, with so many seeds.
RATES = 100

MIB = 1 << 20


def peak_mib(pid: int) -> float:
    """Return the peak resident memory of a process in MiB; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def own_cpu_seconds(pid: int) -> float:
    """Return the processor time of a process without its children; 0 if it has ended."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def children(pid: int) -> Iterator[int]:
    """Yield the process and all its descendants."""
    yield pid
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                yield from children(int(child))


def cpu_seconds() -> float:
    """Return the processor time of all processes that this one started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(what: Callable[[], object]) -> str:
    """Return how long a command takes, and its processor time, which a busy machine does not change."""
    start, cpu = time.perf_counter(), cpu_seconds()
    what()
    return f"{time.perf_counter() - start:.1f} s, {cpu_seconds() - cpu:.1f} s of a core"


def run_exp(folder: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "exp", *words], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr)


def run_sweep(folder: Path, jobs: int, workers: int) -> None:
    """Run the sweep, and print how long its parts take."""
    rates = ",".join(f"{0.001 * 1.05**number:.6g}" for number in range(RATES))
    line = f"-m dataset=xor epochs=1 figures=false optimizer.lr={rates} seed=range(0,{jobs // RATES})"
    line += f" sweep.workers={workers} hydra.sweep.dir=sweep"
    start, peak, jobs_began, jobs_ended, cpu = time.perf_counter(), 0.0, None, None, cpu_seconds()
    own: list[float] = []  # before the first job, and after the last one
    with open(folder / "sweep.out", "w") as out:
        process = subprocess.Popen([sys.executable, "-m", "exp", *line.split()], cwd=folder, stdout=out, stderr=out)
        last = folder / f"sweep/{jobs - 1}/summary.json"
        while process.poll() is None:
            now = time.perf_counter() - start
            peak = max(peak, peak_mib(process.pid))
            if jobs_began is None and (folder / "sweep/0/summary.json").exists():
                jobs_began = now
                own.append(own_cpu_seconds(process.pid))
            if jobs_ended is None and last.exists():
                jobs_ended = now
                own.append(own_cpu_seconds(process.pid))
            time.sleep(0.05)
    total, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    if process.returncode != 0:
        sys.exit((folder / "sweep.out").read_text()[-2000:])
    assert jobs_began is not None
    assert jobs_ended is not None
    print(f"sweep          {total:.1f} s, {1000 * total / jobs:.1f} ms a job, {workers} workers")
    print(f"  processor    {cpu:.1f} s of all its processes, {1000 * cpu / jobs:.1f} ms a job")
    print(f"  checks       {jobs_began:.1f} s before the first job, {1000 * jobs_began / jobs:.2f} ms a job")
    print(f"  jobs         {jobs_ended - jobs_began:.1f} s, {1000 * (jobs_ended - jobs_began) / jobs:.1f} ms a job")
    print(f"  end          {total - jobs_ended:.1f} s: tables, comparison, report, summary")
    print(f"  driver       {1000 * own[0] / jobs:.1f} ms of a core a job for the checks, then")
    print(f"               {1000 * (own[1] - own[0]) / jobs:.1f} ms a job to prepare it and to record its end")
    print(f"  peak memory  {peak:.0f} MiB of the sweep's process")


def count_files(folder: Path, jobs: int) -> None:
    files = folders = size = blocks = 0
    for place, _, names in os.walk(folder):
        folders += 1
        for name in names:
            status = os.stat(f"{place}/{name}")
            files, size, blocks = files + 1, size + status.st_size, blocks + 512 * status.st_blocks
    print(f"files          {files / jobs:.1f} and {folders / jobs:.1f} folders a job: {files + folders:,} in all")
    print(f"bytes          {size / jobs / 1024:.1f} KiB a job, {blocks / jobs / 1024:.1f} KiB on the disk")
    for name in ("sweep.csv", "sweep.json", "seeds.csv", "report.html"):
        print(f"  {name:12} {(folder / name).stat().st_size / MIB:.2f} MiB")


def time_tensorboard(folder: Path, runs: int) -> None:
    """Print how long a real TensorBoard takes until it lists all runs, and how much memory it has then."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [str(Path(sys.executable).parent / "tensorboard"), "--logdir", str(folder), "--port", str(port)]
    start, found = time.perf_counter(), 0
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    answer = 0.0
    try:
        while found < runs and time.perf_counter() - start < 3600:
            time.sleep(0.2)
            with contextlib.suppress(OSError):
                asked = time.perf_counter()
                address = f"http://127.0.0.1:{port}/data/plugin/scalars/tags"
                with urllib.request.urlopen(address, timeout=600) as reply:
                    content = json.load(reply)
                answer = time.perf_counter() - asked
                found = sum("loss/val" in tags for tags in content.values())
        seconds = time.perf_counter() - start
        memory = sum(map(peak_mib, children(process.pid)))
        print(f"TensorBoard    {seconds:.1f} s until {found:,} runs have their curves, {memory:.0f} MiB")
        print(f"  its answer   {answer:.1f} s for the list of tags that the page asks for first")
    finally:
        for pid in reversed(list(children(process.pid))):
            os.kill(pid, 15)
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the sweep, which is kept")
    arguments = parser.parse_args()
    jobs = arguments.jobs // RATES * RATES
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{jobs:,} jobs: {RATES} learning rates x {jobs // RATES} seeds of dataset=xor epochs=1")
        run_sweep(folder, jobs, arguments.workers)
        count_files(folder / "sweep", jobs)
        table = "from pathlib import Path; from exp.results import sweep_csv as s; import time\n"
        table += "t = time.perf_counter(); r = list(s.read_rows(Path('sweep')).values())\n"
        table += "u = time.perf_counter(); s.write(Path('sweep'), r)\n"
        table += "print(f'sweep.csv      {u - t:.2f} s to read the jobs, {time.perf_counter() - u:.2f} s to write')"
        subprocess.run([sys.executable, "-c", table], cwd=folder, check=True)
        print(f"exp status     {timed(lambda: run_exp(folder, 'status', 'sweep'))}")
        print(f"exp best       {timed(lambda: run_exp(folder, 'best', 'sweep'))}")
        print(f"exp report     {timed(lambda: run_exp(folder, 'report', 'run=sweep'))}")
        print(f"exp ls         {timed(lambda: run_exp(folder, 'ls', 'sweep', '--jobs'))}")
        print(f"  sorted       {timed(lambda: run_exp(folder, 'ls', 'sweep', '--jobs', '--sort'))}")
        print(f"  filtered     {timed(lambda: run_exp(folder, 'ls', 'sweep', '--jobs', 'optimizer.lr<0.01'))}")
        again = timed(lambda: run_exp(folder, "-m", "sweep.resume=sweep"))
        print(f"resume         {again}, of a sweep that is finished")
        time_tensorboard(folder / "sweep", jobs)


if __name__ == "__main__":
    main()
