"""How a pool shares a cluster out among the stages of its work, on a Ray that starts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from itertools import chain, repeat
from typing import Any

import pytest

from jaxclnf.cluster import crew, pool
from jaxclnf.cluster.pool import STARTS, Done, Pool, PoolStage
from jaxclnf.cluster.ray_engine import Size, share_out
from jaxclnf.cluster.worker import Circumstances


class Idle:
    """A cluster of machines of so many processors and GPUs; its workers never get ready."""

    def __init__(self, *machines: tuple[int, int]) -> None:
        self.machines = list(machines)
        self.started: list[tuple[float, float]] = []
        self.killed = 0

    def nodes(self) -> list[dict]:
        return [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in self.machines]

    def put(self, held: object) -> object:
        return held

    def kill(self, worker: object) -> None:
        self.killed += 1

    def remote(self, *_: object, num_cpus: float = 0, num_gpus: float = 0) -> Any:
        """Stand for a class of workers and for a worker, whose methods all give something new."""
        if num_cpus:
            self.started.append((num_cpus, num_gpus))
        return lambda _: Worker()


class Worker:
    def remote(self, *_: object) -> Any:
        return Worker()

    ready = property(remote)


OWN = metadata.version("jaxclnf")
UNEQUIPPED = ImportError("No module named 'jaxclnf'")


class Starting(Idle):
    """A cluster whose workers start, or do not, one after the other as ``starts`` says; work is done at once.

    A start is a version of jaxclnf, or the error that ends it. Every wait takes half a second.
    """

    class exceptions:
        RayTaskError = KeyError

    def __init__(self, cpus: int, starts: Iterator[str | Exception]) -> None:
        super().__init__((cpus, 0))
        self.starts, self.now = starts, 0.0

    def remote(self, *_: object, num_cpus: float = 0, num_gpus: float = 0) -> Any:
        self.started.append((num_cpus, num_gpus))
        return lambda _: Calls(remote=lambda *_: self._worker(next(self.starts)))

    def _worker(self, start: str | Exception) -> Any:
        said = start if isinstance(start, Exception) else (f"machine-{start}", start)
        done = Calls(remote=lambda function, task, before: (Sign("there"), Sign(task)))
        return Calls(ready=Calls(remote=lambda: Sign(said)), run=Calls(options=lambda **_: done))

    def wait(self, signs: list, num_returns: int = 1, timeout: float = 0) -> tuple[list, list]:
        self.now += 0.5
        return signs, []

    def get(self, sign: Any) -> Any:
        if isinstance(sign.said, Exception):
            raise sign.said
        return sign.said

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Calls:
    """An object that can be called by some names."""

    def __init__(self, **calls: object) -> None:
        self.__dict__.update(calls)


class Sign:
    """A reference to what a worker says."""

    def __init__(self, said: object) -> None:
        self.said = said


def work(ray: Starting, monkeypatch, stages: list[PoolStage] | None = None) -> tuple[int, list[str]]:
    """Do 200 tasks; returns how many were done, and of what users are warned."""
    warnings: list[str] = []
    for module in (crew, pool):
        monkeypatch.setattr(module, "time", ray)
    stages = stages or two_stages(1)[1:]
    with Pool(ray, {}, None, stages, Circumstances(".", None, False), warnings.append) as workers:
        done: list[Done] = [each for some in workers.run(range(200)) for each in some]
    return len({each.result for each in done}), warnings


def two_stages(readers: int, gpus: float = 0.0) -> list[PoolStage]:
    sizes = Size(most=readers), Size(gpus=gpus)
    return [PoolStage(lambda share, task, before: before, size) for size in sizes]


@pytest.mark.parametrize(
    ("machines", "readers", "gpus", "workers"),
    [
        ([(2, 0)], 1, 0, [1, 1]),
        ([(2, 0)], 2, 0, [1, 1]),
        ([(4, 0), (4, 0)], 60, 0, [7, 1]),
        ([(64, 1)], 60, 0.25, [60, 4]),
        ([(16, 1)], 60, 0.25, [15, 1]),
        ([(8, 0), (2, 1)], 4, 0.5, [4, 2]),
        ([(1, 0)], 1, 0, [0, 1]),
    ],
)
def test_every_stage_has_a_worker(machines, readers, gpus, workers) -> None:
    sizes = [stage.size for stage in two_stages(readers, gpus)]
    assert share_out(Idle(*machines), sizes) == workers


def test_a_cluster_too_small_for_all_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="2 stages that need a worker each, and the cluster has room for 1;"):
        Pool(Idle((1, 1)), {}, None, two_stages(3, 1), Circumstances(".", None, False))


def test_workers_beside_gpus_come_first_and_make_room_when_machines_leave() -> None:
    ray = Idle((4, 1), (4, 0))
    with Pool(ray, {}, None, two_stages(60, 1), Circumstances(".", None, False)) as pool:
        assert ray.started == [(1, 1)] + [(1, 0)] * 7
        readers, _ = pool._crews
        readers.idle += readers.starting.values()
        readers.starting.clear()
        ray.machines.pop()
        pool._looked = 0
        pool._grow()
        assert ray.killed == 4 and len(readers) == 3


def test_machines_on_which_no_worker_starts_end_no_run_in_which_others_work(monkeypatch) -> None:
    ray = Starting(3, chain([OWN], repeat(UNEQUIPPED)))
    done, warnings = work(ray, monkeypatch)
    assert done == 200 and ray.now > 90 and len(ray.started) < 20  # with pauses that become longer
    said = "workers do not start on the cluster: ImportError: No module named 'jaxclnf'"
    assert warnings == [f"{said}; the run goes on with other workers"]


def test_workers_that_start_after_others_have_failed_do_the_work(monkeypatch) -> None:
    ray = Starting(8, chain([UNEQUIPPED] * 6, repeat(OWN)))
    assert work(ray, monkeypatch)[0] == 200 and len(ray.started) == 14


@pytest.mark.parametrize("cpus", [1, 3, 9])
def test_a_run_without_any_worker_is_given_up(monkeypatch, cpus: int) -> None:
    ray = Starting(cpus, repeat(UNEQUIPPED))
    with pytest.raises(ValueError, match="^workers do not start on the cluster: ImportError: No module"):
        work(ray, monkeypatch)
    assert STARTS <= len(ray.started) <= 9


def test_a_stage_without_any_worker_ends_a_run_whose_other_stage_has_some(monkeypatch) -> None:
    ray = Starting(2, chain([UNEQUIPPED, OWN], repeat(UNEQUIPPED)))
    with pytest.raises(ValueError, match="^workers do not start on the cluster"):
        work(ray, monkeypatch, two_stages(1))


def test_a_machine_of_another_version_is_left_out_unless_all_are(monkeypatch) -> None:
    said = f"machine-0.0.1 has jaxclnf 0.0.1, this machine {OWN}; install the same"
    ray = Starting(2, chain([OWN], repeat("0.0.1")))
    assert work(ray, monkeypatch) == (200, [f"{said}; the run goes on with other workers"])
    assert len(ray.started) < 12 and ray.killed == len(ray.started)  # the last one at the end
    ray = Starting(2, repeat("0.0.1"))
    with pytest.raises(ValueError, match=f"^{said}$"):
        work(ray, monkeypatch)
    assert len(ray.started) == 2
