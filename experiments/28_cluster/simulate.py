"""A model of a run on a cluster: checked against measured runs, and asked what larger ones would take.

    python experiments/28_cluster/simulate.py         # beside measured.json, which `run.py scaling` writes

Events are workers that start and shards that are done. A worker computes as fast as it did alone, or at its
share of the cores where there are more workers than these. One driver hands shards out, one after the other;
what they read comes through one network. All figures are those of the measured run with one worker; the runs
with 2 and 4 say how good the model is.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from statistics import median

MEASURED = Path(__file__).with_name("measured.json")
MEGAPIXEL_BYTES = 300_000  # of a JPEG
NETWORK = 12.5e9  # bytes a second, 100 Gbit/s
PRICE = 0.04  # dollars for an hour of one core, as clouds ask for spare ones


@dataclass(frozen=True)
class Costs:
    """What the steps of a run take; seconds are those of one core."""

    begin: float  # of the command, until it starts workers
    start: float  # of a worker, until it works
    first: float  # more that a worker's first shard takes than others
    end: float  # after the last shard
    hand_out: float  # a shard, by the driver
    pace: float  # cores that a worker keeps busy


@dataclass(frozen=True)
class Place:
    """What a run is done with."""

    workers: int
    cores: float  # of all machines
    network: float = NETWORK  # bytes a second that all photos come through


def seconds(shards: Iterable[float], costs: Costs, place: Place, shard_bytes: float = 0.0) -> float:
    """How long a run takes whose shards take so many core seconds: from event to event."""
    left = iter(shards)
    apart = max(costs.hand_out, shard_bytes / place.network)
    now = driver_free = costs.begin
    done = 0.0  # core seconds that each busy worker has had
    ends = [
        (costs.start, costs.first)
    ] * place.workers  # when a worker is free, and what it then takes longer
    while ends:
        pace = min(costs.pace, place.cores / len(ends))
        end, more = heapq.heappop(ends)
        now += (end - done) / pace
        done = end
        work = next(left, None)
        if work is not None:
            driver_free = max(driver_free, now) + apart
            heapq.heappush(ends, (done + work + more + (driver_free - now) * pace, 0.0))
    return now + costs.end


def run_of(measured: dict, workers: int) -> dict:
    return next(run for run in measured["runs"] if run["workers"] == workers)


def calibrated(measured: dict) -> tuple[list[float], Costs]:
    """What each shard and step takes, by the measured run with one worker."""
    alone = run_of(measured, 1)
    work, times = alone["shards"]["core_seconds"], alone["shards"]["seconds"]
    first = max(0.0, work[0] - median(work[1:]))
    costs = Costs(
        begin=alone["begin"],
        start=alone["start"],
        first=first,
        end=alone["end"],
        hand_out=1 / measured["tasks_a_second"],
        pace=sum(work) / sum(times),
    )
    return [work[0] - first, *work[1:]], costs


def check(measured: dict, shards: list[float], costs: Costs) -> None:
    """Print the model beside what was measured."""
    a_photo = sum(shards) / measured["photos"]
    print(f"{measured['photos']} photos, {a_photo * 1e3:.1f} ms of a core each; {costs}")
    for run in measured["runs"]:
        modelled = seconds(shards, costs, Place(run["workers"], measured["cores"]))
        print(
            f"  {run['workers']} workers on {measured['cores']} cores: measured {run['seconds']:.1f} s, "
            f"modelled {modelled:.1f} s ({modelled / run['seconds'] - 1:+.0%})"
        )


def plan(a_photo: float, costs: Costs, written: float) -> None:
    """Print what larger runs take: cores, hours, dollars, bytes, and what bounds them."""
    costs = replace(costs, pace=1.0)  # where there are as many workers as cores
    print("\n| photos | cores | shard | hours | dollars | read | written | the driver is busy |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for photos, cores, shard in ((10**6, 64, 200), (10**8, 1024, 2000), (10**10, 32768, 20_000)):
        hours = whole_hours(photos // shard, shard, a_photo, costs, Place(cores, cores))
        rate = photos / shard / (hours * 3600)
        print(
            f"| {photos:.0e} | {cores:,} | {shard:,} | {hours:,.1f} | {hours * cores * PRICE:,.1f} "
            f"| {photos * MEGAPIXEL_BYTES / 1e12:,.1f} TB | {photos * written / 1e12:,.2f} TB "
            f"| {rate * costs.hand_out:.1%} |"
        )


def whole_hours(n_shards: int, shard: int, a_photo: float, costs: Costs, place: Place) -> float:
    """Hours of a large run: some of it by events, in steps of whole rounds of shards."""
    rounds = -(-n_shards // place.workers)
    some = min(rounds, 4)

    def took(n: int) -> float:
        work = repeat(shard * a_photo, n * place.workers)
        return seconds(work, costs, place, shard * MEGAPIXEL_BYTES)

    a_round = (took(some) - took(1)) / max(1, some - 1)
    return (took(1) + (rounds - 1) * a_round) / 3600


def main() -> None:
    if not MEASURED.exists():
        sys.exit("needs measured.json: python experiments/28_cluster/run.py scaling")
    measured = json.loads(MEASURED.read_text())
    shards, costs = calibrated(measured)
    check(measured, shards, costs)
    plan(sum(shards) / measured["photos"], costs, measured["bytes"]["written"])


if __name__ == "__main__":
    main()
