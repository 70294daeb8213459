"""How a pool shares a cluster out among the stages of its work, on a Ray that starts nothing."""

from __future__ import annotations

from typing import Any

import pytest

from jaxclnf.cluster.pool import Pool, PoolStage
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
