"""Whole runs of the command line: their time, and their memory as they go."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class WholeRun:
    """A whole process: what it worked on, seconds, and megabytes of memory every tenth of a second."""

    name: str
    unit: str
    n: int
    wall_s: float
    cpu_s: float
    memory_mb: list[float]

    @property
    def rate(self) -> float:
        """Photos or frames a second, the start included."""
        return self.n / self.wall_s

    def growth_mb(self) -> float:
        """How much more memory is held in the last tenth of the run than before its middle."""
        n = len(self.memory_mb)
        return max(self.memory_mb[-(n // 10) :]) - max(self.memory_mb[n // 3 : n // 2]) if n >= 10 else 0.0


def run_tool(name: str, unit: str, n: int, arguments: list[str]) -> WholeRun:
    """A run of the command line; raises ValueError where it fails."""
    command = [sys.executable, "-c", "from jaxclnf.cli import program; program()", *arguments]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    memory: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            memory.append(_memory_mb(process.pid))
            time.sleep(0.1)
        said = process.stderr.read() if process.stderr else ""
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise ValueError(f"a run of the command line failed: {said.strip()[-300:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return WholeRun(name, unit, n, wall, cpu, [mb for mb in memory if mb])


def _memory_mb(pid: int) -> float:
    """What a process holds in memory; 0 on systems other than Linux, which do not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
