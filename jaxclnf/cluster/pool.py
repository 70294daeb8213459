"""Tasks done by the workers of a cluster, a few at a time; the tasks of a lost worker go to another.

A task goes through one stage or several, each with workers of its own. A worker has one task at a time, so
that tasks never queue behind a slow one, and no more tasks are begun than there are workers: memory stays
bounded. Machines that join are used within seconds, and tasks on machines that leave are done again.
Machines on which no worker starts, or one of another version, are left out as long as others work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any, NamedTuple

from jaxclnf.cluster.crew import Attempt, Crew, PoolStage
from jaxclnf.cluster.ray_engine import Size, room, share_out
from jaxclnf.cluster.worker import Circumstances, Task, Worker

TRIES = 4  # of a task, after which it is given up
STARTS = 4  # failed starts of workers in a row, after which a run without any worker is given up
LOOK_EVERY = 2.0  # seconds between two looks for machines that have joined
PATIENCE = 1.0  # seconds to wait for a result before everything else is looked at


class Lost(NamedTuple):
    """A task that was given up, and why."""

    reason: str


class Done(NamedTuple):
    """The result of a task, and the machine on which it was done."""

    task: Task
    result: Any
    machine: str = ""


class Pool:
    """Workers that share ``arrays``, put into the object store once, and a job. Use as a context manager."""

    def __init__(
        self,
        ray: Any,
        arrays: Any,
        job: Any,
        stages: Sequence[PoolStage],
        circumstances: Circumstances,
        warn: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._ray, self._warn, self._warned = ray, warn, set[str]()
        self._shared = ray.put(arrays), ray.put(job)
        self._circumstances = circumstances
        self._crews = [Crew(stage) for stage in stages]
        self._looked = 0.0
        self._check_room()

    def __enter__(self) -> Pool:
        self._grow()  # workers start while the caller prepares tasks
        return self

    def __exit__(self, *_: object) -> None:
        for crew in self._crews:
            others = [worker for worker, *_ in crew.busy.values()]
            for worker in [*crew.starting.values(), *crew.idle, *others]:
                self._ray.kill(worker)

    @property
    def n_workers(self) -> int:
        """Count the workers that have started."""
        return sum(len(crew.idle) + len(crew.busy) for crew in self._crews)

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Done]]:
        """Do tasks, which are taken when workers are free; yields finished ones, or nothing while waiting.

        A task whose function raises, or whose worker is lost, is done again; the result of one that fails
        every time is `Lost`.
        """
        remaining = iter(tasks)
        more = True
        while more or self._n_begun():
            self._grow()
            more = self._hand_out(remaining) and more
            signs = [sign for crew in self._crews for sign in (*crew.busy, *crew.starting)]
            if signs:
                ready, _ = self._ray.wait(signs, num_returns=len(signs), timeout=0)
                ready = ready or self._ray.wait(signs, timeout=PATIENCE)[0]
            else:
                time.sleep(PATIENCE if self._n_begun() or more else 0)
                ready = []
            yield [done for sign in ready for done in self._heard(sign)]

    def _n_begun(self) -> int:
        return sum(len(crew.busy) + len(crew.waiting) for crew in self._crews)

    def _check_room(self) -> None:
        """Raise ValueError if a stage could have no worker; a single one waits for machines to join."""
        gpus = self._crews[-1].stage.size.gpus
        if gpus and not room(self._ray, self._crews[-1].stage.size):
            raise ValueError(f"no machine of the cluster has {gpus:g} GPU for a worker")
        shares = self._shares()
        if len(shares) > 1 and not all(shares):
            raise ValueError(
                f"the work has {len(shares)} stages that need a worker each, and the cluster has room for "
                f"{sum(shares)}; leave out --readers, or add machines"
            )

    def _shares(self) -> list[int]:
        return share_out(self._ray, [crew.stage.size for crew in self._crews])

    def _grow(self) -> None:
        """Start workers for which there is room, and end idle ones for which there is none any more.

        Later stages come first: others, on the last processor beside a GPU, would keep them out.
        """
        if time.monotonic() < self._looked + LOOK_EVERY:
            return
        self._looked = time.monotonic()
        for crew, wanted in reversed(list(zip(self._crews, self._shares(), strict=True))):
            while crew.idle and len(crew) > wanted:
                self._ray.kill(crew.idle.pop())
            for _ in range(len(crew), wanted if self._looked >= crew.not_before else 0):
                worker = self._start(crew.stage.size)
                crew.starting[worker.ready.remote()] = worker

    def _start(self, size: Size) -> Any:
        own = self._circumstances._replace(cpus=size.cpus, gpus=size.gpus)
        actor = self._ray.remote(num_cpus=size.cpus, num_gpus=size.gpus)(Worker)
        return actor.remote(*self._shared, own)

    def _hand_out(self, remaining: Iterator[Task]) -> bool:
        """Give tasks to idle workers; returns whether tasks may remain."""
        more = True
        for number, crew in enumerate(self._crews):
            while crew.idle:
                if not crew.waiting and number == 0 and self._may_begin():
                    task = next(remaining, None)
                    more = task is not None
                    crew.waiting += [Attempt(task)] if more else []
                if not crew.waiting:
                    break
                self._begin(crew, crew.idle.pop(), crew.waiting.popleft())
        return more

    def _may_begin(self) -> bool:
        """Tell whether the later stages keep up: results that wait for them fill the object store."""
        return all(len(crew.waiting) <= len(crew.idle) + len(crew.busy) for crew in self._crews[1:])

    def _begin(self, crew: Crew, worker: Any, attempt: Attempt) -> None:
        name = getattr(attempt.task, "name", "task")  # for Ray's dashboard
        run = worker.run.options(num_returns=2, name=name)
        sign, result = run.remote(crew.stage.function, attempt.task, attempt.before)
        crew.busy[sign] = worker, result, attempt

    def _heard(self, sign: Any) -> list[Done]:
        crew = next(crew for crew in self._crews if sign in crew.starting or sign in crew.busy)
        if sign in crew.starting:
            self._has_started(crew, crew.starting.pop(sign), sign)
            return []
        worker, result, attempt = crew.busy.pop(sign)
        after = self._crews[self._crews.index(crew) + 1 :]
        try:
            machine = self._ray.get(sign)
            if not after:
                done = Done(attempt.task, self._ray.get(result), machine)
        except Exception as error:  # an error of the function, of Ray or of the machine
            return self._missed(crew, worker, attempt, error)
        crew.idle.append(worker)
        if after:
            attempt.before = result
            after[0].waiting.append(attempt)
            return []
        return [done]

    def _has_started(self, crew: Crew, worker: Any, sign: Any) -> None:
        """Take a worker that has started; one that has not, or is of another version, is left out."""
        own = metadata.version("jaxclnf")
        try:
            machine, version = self._ray.get(sign)
        except Exception as error:
            why = f"workers do not start on the cluster: {_sentence(error)}"
            self._left_out(crew, "starts", why, STARTS)
            return
        if version == own:
            crew.has_started(worker)
            return
        self._ray.kill(worker)
        why = f"{machine} has jaxclnf {version}, this machine {own}; install the same"
        self._left_out(crew, machine, why, 1)

    def _left_out(self, crew: Crew, about: str, why: str, most: int) -> None:
        """Go on without a worker; raises ValueError if so many starts failed and no other worker is left.

        Others may still be starting. The user is warned once ``about`` a machine, or of starts that fail.
        """
        crew.has_not_started()
        if crew.failed_starts < most:
            return
        if not crew:
            raise ValueError(why)
        if (crew.idle or crew.busy) and about not in self._warned:
            self._warned.add(about)
            self._warn(f"{why}; the run goes on with other workers")

    def _missed(self, crew: Crew, worker: Any, attempt: Attempt, error: Exception) -> list[Done]:
        """Begin a task anew from its first stage, or give it up."""
        if isinstance(error, self._ray.exceptions.RayTaskError):
            crew.idle.append(worker)
        else:
            self._ray.kill(worker)
            self._looked = 0.0
        if attempt.tries >= TRIES:
            return [Done(attempt.task, Lost(f"given up after {TRIES} tries: {_sentence(error)}"))]
        self._crews[0].waiting.appendleft(Attempt(attempt.task, attempt.tries + 1))
        return []


def _sentence(error: BaseException) -> str:
    """Reduce a worker's error to a sentence, without its traceback."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:1])[:200]}"
