"""Runs in shards, with workers in the test's own process in place of a cluster's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest

from jaxclnf.cluster.cluster_run import Progress, Run
from jaxclnf.cluster.ledger import Entry, Ledger
from jaxclnf.cluster.local_copies import is_absent
from jaxclnf.cluster.merge import merge
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.pool import Done, Lost
from jaxclnf.cluster.result_names import Names
from jaxclnf.cluster.shards import Shard, in_shards, read_plan
from jaxclnf.cluster.table_parts import part_name, write_failures_part, write_part
from jaxclnf.cluster.video_shards import with_stem
from jaxclnf.media.failures import Failure
from jaxclnf.media.inputs import find_photos
from jaxclnf.output.run_folder import OutputFolder
from jaxclnf.output.video_files import BESIDE_VIDEOS, plan_videos

COLUMNS = ["face", "x_0", "source", "status"]
SOURCES = [f"photos/{i}.png" for i in range(7)]


class Workers:
    """Does shards one by one; those of ``failing`` are given up, and after ``most`` the driver breaks.

    Photos whose names end in ``bad`` are missing.
    """

    n_workers = 1

    def __init__(
        self, store: Store, failing: Iterable[int] = (), most: int = 99, bad: tuple[str, ...] = ("3.png",)
    ) -> None:
        self.store, self.failing, self.most, self.bad, self.did = store, set(failing), most, bad, []

    def run(self, shards: Iterable[Shard]) -> Iterator[list[Done]]:
        for shard in shards:
            if len(self.did) == self.most:
                raise KeyboardInterrupt
            self.did.append(shard.number)
            lost = shard.number in self.failing
            yield [Done(shard, Lost("broke") if lost else self._fit(shard), "here")]

    def _fit(self, shard: Shard) -> Entry:
        rows = [["0", f"{shard.number}.5", source, "ok"] for source in shard.sources]
        n_rows = write_part(self.store, part_name("landmarks", shard.number), COLUMNS, [rows])
        bad = [Failure(s, f"{s} does not exist") for s in shard.sources if s.endswith(self.bad)]
        write_failures_part(self.store, shard.number, bad)
        return Entry(shard.number, len(shard.sources), n_rows, len(bad), absent=len(bad))


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path: Path) -> Store:
    """A folder, and a place on an object store."""
    return Store(str(tmp_path / "out") if request.param == "folder" else f"memory://{tmp_path.name}/out")


def go(
    store: Store, workers: Workers, resume: bool = False, told: int = 1, inputs: Sequence[str] = ("photos",)
) -> list[Failure]:
    with Run(store, "landmarks", {"sigma": told}, inputs) as run:
        run.begin(lambda failures: in_shards(SOURCES, 2), resume)
        lost = run.work(workers, lambda progress: None)
        return run.failures() + lost


def table_of(store: Store, tmp_path: Path) -> list[tuple]:
    merge(store.place, tmp_path / "table.csv")
    return pl.read_csv(tmp_path / "table.csv").rows()


ROWS = [(0, i // 2 + 0.5, source, "ok") for i, source in enumerate(SOURCES)]


def test_parts_are_one_table_and_failures_another(store: Store, tmp_path: Path) -> None:
    failures = go(store, Workers(store))
    assert failures == [Failure("photos/3.png", "photos/3.png does not exist")]
    assert table_of(store, tmp_path) == ROWS
    assert store.names("landmarks") == [f"part-0000000{i}.parquet" for i in range(4)]


def test_a_driver_that_broke_goes_on_with_what_is_left(store: Store, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(store, Workers(store, most=2))
    workers = Workers(store)
    go(store, workers, resume=True)
    assert workers.did == [2, 3]
    assert table_of(store, tmp_path) == ROWS


def test_shards_with_missing_sources_are_done_again_when_these_have_come(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(store, Workers(store, most=3, bad=("3.png", "5.png")))
    workers = Workers(store, bad=("3.png", "5.png"))
    go(store, workers, resume=True)  # none has come
    assert workers.did == [3]
    monkeypatch.setattr("jaxclnf.cluster.cluster_run.has_come", is_absent)
    halfway = Workers(store, bad=(), most=1)
    with pytest.raises(KeyboardInterrupt):
        go(store, halfway, resume=True)
    lossy, last = Workers(store, failing=[2]), Workers(store, bad=())
    (lost,) = go(store, lossy, resume=True)[1:]
    assert lost.reason == "shard 2 (2 files from photos/4.png on): broke"
    assert go(store, last, resume=True) == []
    assert (halfway.did, lossy.did, last.did) == ([1], [2], [2])
    assert go(store, Workers(store, most=0), resume=True) == []
    assert table_of(store, tmp_path) == ROWS and store.names("failures") == []


def test_a_shard_that_is_given_up_is_named_the_rest_whole_and_it_is_tried_again(
    store: Store, tmp_path: Path
) -> None:
    (failure,) = go(store, Workers(store, failing=[1]))
    assert failure.reason == "shard 1 (2 files from photos/2.png on): broke"
    assert table_of(store, tmp_path) == ROWS[:2] + ROWS[4:]
    workers = Workers(store)
    go(store, workers, resume=True)
    assert workers.did == [1] and table_of(store, tmp_path) == ROWS


@pytest.mark.parametrize("text", [b"[]", b"3", b"[" * 10**5, b'{"told": 1}', b"\0", b""])
def test_damaged_descriptions_of_a_run_are_named(store: Store, text: bytes) -> None:
    go(store, Workers(store, bad=()))
    store.write("ledger/0000000099.jsonl", text + b'\n{"shard": "a", "sources": 1}\n')
    store.write("plan.jsonl", text)
    with pytest.raises(ValueError, match="plan.jsonl is damaged"):
        list(read_plan(store, 2))
    store.write("job.json", text)
    with pytest.raises(ValueError, match="job.json is damaged; choose another --out"):
        go(store, Workers(store), resume=True)
    assert Ledger(store, range(9)).sources == 7


def test_other_settings_and_other_folders_are_refused(store: Store) -> None:
    go(store, Workers(store))
    with pytest.raises(ValueError, match="holds a run; go on with it by --resume"):
        go(store, Workers(store))
    with pytest.raises(ValueError, match=r"begun with other settings.*\(sigma\)"):
        go(store, Workers(store), resume=True, told=2)
    strange = Store(store.at("landmarks"))
    with pytest.raises(ValueError, match="part-00000000.parquet, which is of no run"):
        go(strange, Workers(strange))


def test_a_run_goes_on_with_the_inputs_that_it_began_with(store: Store) -> None:
    names = ["photos", "\udcff.png", "s3://bucket/more"]
    with pytest.raises(KeyboardInterrupt):
        go(store, Workers(store, most=1), inputs=names)
    for others in (names[:1], [*names, "new"], ["new"]):
        with pytest.raises(ValueError) as raised:
            go(store, Workers(store, most=0), resume=True, inputs=others)
        assert str(raised.value) == (
            f"{store.place} was begun with other inputs (photos, \udcff.png, s3://bucket/more) and keeps to "
            "its plan of 7 sources, without a look at those named now; repeat the former, or choose another "
            "--out"
        )
    rest = Workers(store)
    go(store, rest, resume=True, inputs=["s3://bucket/more/", "./photos/", "\udcff.png"])
    assert rest.did == [1, 2, 3]


def test_a_run_of_an_earlier_state_which_kept_no_inputs_goes_on(store: Store) -> None:
    go(store, Workers(store, bad=()))
    job = json.loads(store.read("job.json"))
    del job["inputs"]
    store.write("job.json", json.dumps(job).encode())
    assert go(store, Workers(store, bad=()), resume=True, inputs=["whatever"]) == []


def test_a_run_that_is_refused_takes_none_of_the_folder_s_own(tmp_path: Path) -> None:
    photo = tmp_path / "photos/pictures/a.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    with (
        Run(Store(str(tmp_path / "photos")), "landmarks", {}) as run,
        pytest.raises(ValueError, match="of no run"),
    ):
        run.begin(lambda _: [], resume=False)
    assert find_photos([str(tmp_path / "photos")]).paths == [photo]


@pytest.mark.parametrize("name", ["plan.jsonl", "driver", "failures/mine.txt"])
def test_files_of_others_called_as_a_run_s_are_not_written_over(store: Store, name: str) -> None:
    store.write(name, b"mine")
    with pytest.raises(ValueError, match=f"holds {name.partition('/')[0]}, which is of no run"):
        go(store, Workers(store))
    assert store.read(name) == b"mine"


def test_a_run_that_was_stopped_while_it_began_begins_again(store: Store, tmp_path: Path) -> None:
    def stopped(failures: list[Failure]) -> Iterator[Shard]:
        yield from in_shards(SOURCES[:1], 2)
        raise KeyboardInterrupt

    with Run(store, "landmarks", {"sigma": 1}, ["photos"]) as run, pytest.raises(KeyboardInterrupt):
        run.begin(stopped, resume=False)
    go(store, Workers(store))
    assert table_of(store, tmp_path) == ROWS


def test_progress_counts_sources_done_before(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(store, Workers(store, most=2, bad=()))
    said: list[Progress] = []
    with Run(store, "landmarks", {"sigma": 1}, ["photos"]) as run:
        run.begin(lambda failures: [], resume=True)
        run.work(Workers(store), said.append)
    assert [p.done for p in said] == [4, 6, 7] and said[-1] == Progress(7, 7, 0, 1)


def test_what_is_missing_or_damaged_is_done_again_or_named(store: Store, tmp_path: Path) -> None:
    go(store, Workers(store))
    store.remove("landmarks/part-00000002.parquet")
    assert merge(store.place, tmp_path / "table.csv") == (5, 1)  # a shard is missing
    (first, *_) = store.names("ledger")
    store.write(f"ledger/{first}", b'{"shard": 0, "sour')
    store.write("ledger/note.txt", b"no entry")
    workers = Workers(store)
    go(store, workers, resume=True)
    assert workers.did == [0, 2] and table_of(store, tmp_path) == ROWS
    store.write("plan.jsonl", b"[[")
    store.remove("landmarks/part-00000003.parquet")
    with pytest.raises(ValueError, match="plan.jsonl is damaged or missing"):
        go(store, Workers(store), resume=True)
    store.write("job.json", b"{}")
    with pytest.raises(ValueError, match="job.json is damaged"):
        go(store, Workers(store), resume=True)


def test_advice_for_damaged_parts_leads_to_a_whole_table(store: Store, tmp_path: Path) -> None:
    go(store, Workers(store, bad=()))
    part = "landmarks/part-00000002.parquet"
    store.write(part, store.read(part)[:99])
    with pytest.raises(ValueError, match=r"part-00000002.parquet is damaged; .* remove it from the run's"):
        merge(store.place, tmp_path / "table.csv")
    store.remove(part)
    again = Workers(store, bad=())
    go(store, again, resume=True)
    assert again.did == [2] and table_of(store, tmp_path) == ROWS


@pytest.mark.parametrize("data", [b"", b"PAR1", b"other columns"])
def test_a_damaged_part_of_the_failures_is_a_failure_that_resuming_mends(store: Store, data: bytes) -> None:
    go(store, Workers(store))
    name = "failures/part-00000001.parquet"
    if data == b"other columns":
        pl.DataFrame({"source": ["a"]}).write_parquet(buffer := io.BytesIO())
        data = buffer.getvalue()
    store.write(name, data)
    store.write("failures/part-inputs.parquet", b"")
    store.write("failures/note.txt", b"")
    shard, inputs = go(store, Workers(store, failing=[1]), resume=True)[:2]
    said = "is damaged and no longer tells what could not be used"
    mend = "remove it and its shard's part, and --resume does that again"
    assert shard.reason == f"{store.at(name)} {said}; {mend}"
    assert inputs.reason == f"{store.at('failures/part-inputs.parquet')} {said}"
    for each in (name, "landmarks/part-00000001.parquet"):
        store.remove(each)
    assert go(store, Workers(store, bad=()), resume=True) == [inputs]


def test_a_command_that_takes_a_run_over_ends_the_one_before() -> None:
    store = Store("memory://two/out")  # where no lock keeps it out
    with Run(store, "landmarks", {}) as first, Run(store, "landmarks", {}) as second:
        first.begin(lambda failures: in_shards(SOURCES, 2), resume=False)
        second.begin(lambda failures: [], resume=True)
        with pytest.raises(ValueError, match="another command has taken over memory://two/out"):
            first.work(Workers(store), lambda progress: None)
        second.work(Workers(store), lambda progress: None)
        assert second.is_done and second.ledger.rows == 7


def test_names_are_given_once() -> None:
    names = Names([".png"])
    long = "x" * 300
    given = [names.give(name) for name in ("a", "A", "a-2", "a", "b", long, long)]
    assert given == ["a", "A-2", "a-2-2", "a-3", "b", "x" * 251, "x" * 249 + "-2"]


def test_names_are_those_of_a_run_alone(tmp_path: Path) -> None:
    """Also of videos called as files of the run, too long, or whose unfinished files would be another's."""
    long = "x" * 240
    names = ("failures", "report", long, "a.unfinished", "a", f"{long}2", "REPORT", "failures-2", "failures")
    sources = [f"{number}/{name}.avi" for number, name in enumerate(names)]
    for format in ("csv", "parquet"):
        with OutputFolder(tmp_path / format) as folder:
            folder.claim(*BESIDE_VIDEOS)
            alone = [plan.table.stem for plan in plan_videos(folder, sources, format, True, {})]
        there = [stem for shard in with_stem(in_shards(sources, 1), format) for stem in shard.stems]
        assert there == alone and alone[0] == {"csv": "failures-2", "parquet": "failures"}[format]


def test_a_plan_keeps_names_that_are_no_text(store: Store) -> None:
    with Run(store, "landmarks", {}) as run:
        run.begin(lambda failures: in_shards(["a\udcff.png", "new\nline.png"], 1), resume=False)
        assert [shard.sources for shard in read_plan(store, 2)] == [("a\udcff.png",), ("new\nline.png",)]


def test_a_ledger_becomes_one_file_and_forgets_nothing(store: Store) -> None:
    ledger = Ledger(store, parts=range(9))
    for number in range(3):
        ledger.add(
            [
                Entry(
                    number,
                    2,
                    rows=3,
                    failures=1,
                    absent=number,
                    lost="x" if number == 2 else "",
                    partly=["a"],
                )
            ]
        )
    again = Ledger(store, parts=range(9))
    assert (again.done, again.again) == ({0}, {1})
    assert (again.sources, again.rows, again.failures, again.partly) == (2, 3, 1, ["a"])
    assert ledger.done == {0, 1} and ledger.partly == ["a", "a"]
    assert len(store.names("ledger")) == 1
    assert Ledger(store, parts=range(9)).again == {1}
    assert json.loads(store.read(f"ledger/{store.names('ledger')[0]}").splitlines()[1])["shard"] == 1


def test_merge_writes_over_no_file_of_the_run(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    go(store, Workers(store))
    (tmp_path / "link").symlink_to(tmp_path / "out/landmarks")
    (tmp_path / "out/openface").mkdir()
    of_run = "plan.jsonl", "landmarks/part-00000001.parquet", "ledger/0000000001.jsonl", "openface/a.csv"
    for name in ("link/part-9.parquet", *(f"out/{name}" for name in of_run)):
        with pytest.raises(ValueError, match="is a file of the run and would be written over"):
            merge(store.place, tmp_path / name)
    for name in ("out/table.parquet", "table.csv", "table.jsonl"):
        table = tmp_path / name
        table.write_bytes(b"file,x,y,w,h\n")
        with pytest.raises(ValueError, match="holds other columns and would be lost; choose another name"):
            merge(store.place, table)
        table.write_bytes(b"")
        for _ in range(2):  # and once more, over its own
            assert merge(store.place, table).rows == len(SOURCES)


def test_merge_refuses_what_holds_no_parts(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run on a cluster"):
        merge(store.place, tmp_path / "table.csv")
    with pytest.raises(ValueError, match=r"ends in .csv, .parquet, .jsonl"):
        merge(store.place, tmp_path / "table.txt")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(ValueError, match="holds no run on a cluster"):
        merge(store.place, tmp_path / "loop.csv")
    with pytest.raises(ValueError, match="there is no folder .*/missing; make it first"):
        merge(store.place, tmp_path / "missing/table.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="folder.csv is a folder"):
        merge(store.place, tmp_path / "folder.csv")


def test_merge_says_which_part_makes_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, target = (tmp_path / name for name in ("part-0.parquet", "part-1.parquet", "all.csv"))
    pl.DataFrame({"x": [1.0]}).write_parquet(first)
    second.write_bytes(first.read_bytes()[:99])
    with pytest.raises(ValueError, match="part-1.parquet is damaged; copy the parts again"):
        merge(str(tmp_path), target)
    pl.DataFrame({"y": [1.0]}).write_parquet(second)
    with pytest.raises(ValueError, match="part-1.parquet has other columns than part-0.parquet"):
        merge(str(tmp_path), target)
    assert sorted(tmp_path.iterdir()) == [first, second]
    second.unlink()

    def full(*_: object) -> None:
        raise OSError("No space left on device (os error 28)")  # as polars says it

    monkeypatch.setattr("jaxclnf.cluster.merge.write_rows", full)
    with pytest.raises(OSError, match=r"No space left on device .*all.csv"):
        merge(str(tmp_path), target)
