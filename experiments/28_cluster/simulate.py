"""A model of a run on a cluster: checked against measured runs, and asked what larger ones would take.

    python experiments/28_cluster/simulate.py         # beside measured.json, which `run.py scaling` writes

Events are workers that start and shards that are done. Workers of a machine share its processors evenly. One
driver hands shards out, one after the other; what they read comes through one network. What a photo and a
start take is taken from the measured run with one worker; those with 2 and 4 say how good the model is.
"""

from __future__ import annotations

import heapq
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

MEASURED = Path(__file__).with_name("measured.json")
MEGAPIXEL_BYTES = 300_000  # of a JPEG
NETWORK = 12.5e9  # bytes a second, 100 Gbit/s
PRICE = 0.04  # dollars for an hour of one core, as clouds ask for spare ones


@dataclass(frozen=True)
class Work:
    """What a run is made of; seconds are those of one core."""

    photos: int
    shard: int = 100
    photo_seconds: float = 0.025
    start_seconds: float = 10.0  # of a worker, until its first photo is fitted
    begin_seconds: float = 10.0  # of the command, until it starts workers, and of its end
    driver_seconds: float = 0.002  # a shard
    bytes_a_photo: float = MEGAPIXEL_BYTES


@dataclass(frozen=True)
class Place:
    """What a run is done with."""

    workers: int
    cores: float  # of all machines
    network: float = NETWORK  # bytes a second that all photos come through


def seconds(work: Work, place: Place) -> float:
    """How long a run takes: from event to event, each worker at its share of the cores."""
    left = -(-work.photos // work.shard)
    pace = max(work.driver_seconds, work.shard * work.bytes_a_photo / place.network)
    now = driver_free = work.begin_seconds
    done = 0.0  # core seconds that each busy worker has had
    ends = [work.start_seconds] * place.workers  # at which of them the workers are free
    while ends:
        share = min(1.0, place.cores / len(ends))
        end = heapq.heappop(ends)
        now += (end - done) / share
        done = end
        if left:
            left -= 1
            driver_free = max(driver_free, now) + pace
            heapq.heappush(ends, done + work.shard * work.photo_seconds + (driver_free - now) * share)
    return now


def calibrated(measured: dict) -> Work:
    """What the measured run with one worker says of photos and starts."""
    (alone,) = [run for run in measured["runs"] if run["workers"] == 1]
    share = left_by_others(alone)
    first, *others = (share * seconds for seconds in alone["shards"])
    a_shard = median(others)
    return Work(
        photos=measured["photos"],
        shard=measured["shard"],
        photo_seconds=sum(others) / len(others) / measured["shard"],
        start_seconds=max(0.0, first - a_shard),
        begin_seconds=alone["seconds"] - sum(alone["shards"]),
        driver_seconds=1 / measured["tasks_a_second"],
    )


def left_by_others(run: dict) -> float:
    """How many cores a run got of a machine that others use, too."""
    return run["processor_seconds"] / run["seconds"]


def check(measured: dict, work: Work) -> None:
    """Print the model beside what was measured."""
    print(
        f"{work.photos} photos, {work.photo_seconds * 1e3:.1f} ms of a core each; a worker starts in ", end=""
    )
    print(f"{work.start_seconds:.1f} s, the command in {work.begin_seconds:.1f} s")
    for run in measured["runs"]:
        cores = left_by_others(run)
        modelled = seconds(work, Place(run["workers"], cores))
        print(
            f"  {run['workers']} workers, which got {cores:.2f} cores: measured {run['seconds']:.0f} s, "
            f"modelled {modelled:.0f} s ({modelled / run['seconds'] - 1:+.0%})"
        )


def plan(work: Work, written: float) -> None:
    """Print what larger runs take: cores, hours, dollars, bytes, and what bounds them."""
    print("\n| photos | cores | shard | hours | dollars | read | written | the driver is busy |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for photos, cores, shard in ((10**6, 64, 200), (10**8, 1024, 2000), (10**10, 32768, 20_000)):
        larger = replace(work, photos=photos, shard=shard)
        hours = whole_hours(larger, Place(cores, cores))
        rate = photos / shard / (hours * 3600)
        print(
            f"| {photos:.0e} | {cores:,} | {shard:,} | {hours:,.1f} | {hours * cores * PRICE:,.1f} "
            f"| {photos * MEGAPIXEL_BYTES / 1e12:,.1f} TB | {photos * written / 1e12:,.2f} TB "
            f"| {rate * work.driver_seconds:.1%} |"
        )


def whole_hours(work: Work, place: Place) -> float:
    """Hours of a large run: a part of it by events, in steps of whole rounds of shards."""
    rounds = -(-work.photos // (work.shard * place.workers))
    some = min(rounds, 4)
    few, more = (seconds(replace(work, photos=n * work.shard * place.workers), place) for n in (1, some))
    a_round = (more - few) / max(1, some - 1)
    return (few + (rounds - 1) * a_round) / 3600


def main() -> None:
    if not MEASURED.exists():
        sys.exit("needs measured.json: python experiments/28_cluster/run.py scaling")
    measured = json.loads(MEASURED.read_text())
    work = calibrated(measured)
    check(measured, work)
    plan(work, measured["bytes"]["written"])


if __name__ == "__main__":
    main()
