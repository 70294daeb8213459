from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import polars as pl
import pytest

from jaxclnf.media.failures import Failure
from jaxclnf.output.csv_cells import path_cell
from jaxclnf.output.failures_table import write_failures
from jaxclnf.output.resumable_table import ResumableTable
from jaxclnf.output.run_folder import make_folder
from jaxclnf.output.table_runs import TableRun
from jaxclnf.whole_files import write_whole

COLUMNS = ["face", "x_0", "source", "status"]
SOURCES = ["a.jpg", 'quo"te, and\nnewline.jpg', "žluťoučký 顔.jpg", "d.jpg"]


def rows(source: str, n: int = 2) -> list[list[str]]:
    return [[str(i), f"{i}.25", source, "ok"] for i in range(n)]


def table(folder: Path, suffix: str = "csv", resume: bool = False, **settings) -> ResumableTable:
    return ResumableTable(folder / f"landmarks.{suffix}", COLUMNS, "source", TableRun(settings, resume))


def whole(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.releases
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_every_format_holds_the_same(tmp_path: Path, suffix: str) -> None:
    out = table(tmp_path, suffix)
    for source in SOURCES:
        out.add(rows(source))
    out.add([["0", "NaN", "e.jpg", "no face"]])
    out.finish()
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[suffix]
    frame = read(tmp_path / f"landmarks.{suffix}")
    assert frame.columns == COLUMNS
    assert frame["source"].to_list() == [s for s in SOURCES for _ in range(2)] + ["e.jpg"]
    assert frame["face"].to_list() == [0, 1] * 4 + [0]
    assert frame["x_0"].to_list()[:2] == [0.25, 1.25]
    assert frame["x_0"].fill_null(float("nan")).is_nan()[-1]
    assert os.listdir(tmp_path) == [f"landmarks.{suffix}"]


def test_wherever_a_run_breaks_it_can_be_gone_on_with(tmp_path: Path) -> None:
    out = table(tmp_path)
    for source in SOURCES:
        out.add(rows(source))
    out.close()
    unfinished = tmp_path / "landmarks.unfinished.csv"
    data = unfinished.read_bytes()
    header = data.index(b"\n") + 1
    for end in range(header, len(data) + 1):
        unfinished.write_bytes(data[:end])
        again = table(tmp_path, resume=True)
        # The source being written when it broke is done again, those before it are not.
        assert again.done == set(SOURCES[: len(again.done)])
        for source in SOURCES[len(again.done) :]:
            again.add(rows(source))
        again.close()
        assert unfinished.read_bytes() == data, end


def test_a_broken_run_is_neither_overwritten_nor_mixed_with_another(tmp_path: Path) -> None:
    table(tmp_path, sigma=1).close()
    with pytest.raises(ValueError, match="--resume, or remove it"):
        table(tmp_path, sigma=1)
    with pytest.raises(ValueError, match="other settings"):
        table(tmp_path, sigma=2, resume=True)
    (tmp_path / "landmarks.unfinished.csv").write_text("face,source\n")
    with pytest.raises(ValueError, match="other columns"):
        table(tmp_path, sigma=1, resume=True)


@pytest.mark.parametrize("text", ["[]", "3", "[" * 10**5, "\0", '{"settings": 3}', ""])
def test_damaged_files_of_a_broken_run_are_refused_or_done_again(tmp_path: Path, text: str) -> None:
    out = table(tmp_path)
    for source in SOURCES:
        out.add(rows(source))
    out.close()
    unfinished = tmp_path / "landmarks.unfinished.csv"
    with unfinished.open("a") as file:
        file.write(f'"{"x" * 200_000}",' + "1\n")  # longer than Python's reader takes
    assert table(tmp_path, resume=True).done == set(SOURCES[:-1])
    (tmp_path / "landmarks.unfinished.json").write_text(text)
    with pytest.raises(ValueError, match="other settings"):
        table(tmp_path, resume=True)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    write_whole(tmp_path / "a.png", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.png", b"new")
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_told_with_the_file_that_it_has_no_room_for(tmp_path: Path) -> None:
    out = table(tmp_path)
    out.unfinished.unlink()
    out.unfinished.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*/landmarks.unfinished.csv'"):
        out.add(rows("a.jpg"))
    out.close()


def test_an_output_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(ValueError, match="cannot be the output folder"):
            make_folder(path)
    assert os.listdir(make_folder(tmp_path / "a" / "b")) == []


def test_failures_are_a_table_and_leave_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "failures.csv"
    write_failures(path, [Failure("a\n.jpg", "a is empty"), Failure("b", "no, it is not")])
    assert whole(path) == [["source", "reason"], ["a\n.jpg", "a is empty"], ["b", "no, it is not"]]
    write_failures(path, [])
    assert not path.exists()


def test_a_resumed_run_that_is_killed_before_its_first_photo_loses_nothing(tmp_path: Path) -> None:
    out = table(tmp_path)
    for source in SOURCES:
        out.add(rows(source))
    out.close()
    before = (tmp_path / "landmarks.unfinished.csv").read_bytes()
    for _ in range(3):
        table(tmp_path, resume=True).close()
    assert (tmp_path / "landmarks.unfinished.csv").read_bytes() == before


def test_a_photo_that_has_changed_is_done_again(tmp_path: Path) -> None:
    stamps = {source: [1, 2] for source in SOURCES}
    out = ResumableTable(tmp_path / "landmarks.csv", COLUMNS, "source", TableRun({}), stamps)
    for source in SOURCES:
        out.add(rows(source))
    out.close()
    again = ResumableTable(
        tmp_path / "landmarks.csv", COLUMNS, "source", TableRun({}, True), stamps | {"a.jpg": [1, 3]}
    )
    assert again.done == {*SOURCES[1:-1]}
    again.finish()
    assert {row[2] for row in whole(tmp_path / "landmarks.csv")[1:]} == {*SOURCES[1:-1]}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_run_that_ended_is_gone_on_with(tmp_path: Path, suffix: str) -> None:
    """What failed, has changed or is asked for again is done anew; with other settings everything is."""
    path, names = tmp_path / f"landmarks.{suffix}", ["a\rb.jpg", *SOURCES]
    stamps = {name: [1, 2] for name in names}
    out = ResumableTable(path, COLUMNS, "source", TableRun({"sigma": 1}), stamps)
    for name in names:
        out.add(rows(name, 1))
    out.finish()
    told, data, written = out.described({"d.jpg"}), path.read_bytes(), path.stat().st_mtime_ns
    assert ResumableTable(path, COLUMNS, "source", TableRun({"sigma": 2}, True, told), stamps).done == set()
    out.unfinished.unlink()
    for end in (ResumableTable.finish, ResumableTable.close):
        whole = ResumableTable(path, COLUMNS, "source", TableRun({"sigma": 1}, True, told), {"a.jpg": [1, 2]})
        assert whole.done == set(names)
        end(whole)
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (data, written)
        assert os.listdir(tmp_path) == [path.name]
    changed = stamps | {"a.jpg": [9]}
    again = ResumableTable(
        path, COLUMNS, "source", TableRun({"sigma": 1}, True, told), changed, lambda row: row[2] == names[2]
    )
    assert again.done == {names[0], names[3]}
    for name in (names[1], names[2], names[4]):
        again.add(rows(name, 1))
    again.finish()
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[suffix]
    first, second = read(io.BytesIO(data)), read(io.BytesIO(path.read_bytes()))
    assert first.equals(second)  # in the order in which the photos were named


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_damaged_table_is_not_gone_on_with_and_one_of_no_rows_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"landmarks.{suffix}"
    out = table(tmp_path, suffix)
    out.finish()
    told = out.described(set())
    assert ResumableTable(path, COLUMNS, "source", TableRun({}, True, told)).done == set()
    for left in tmp_path.glob("*.unfinished*"):
        left.unlink()
    path.write_bytes(b"{ not a table")
    with pytest.raises(ValueError, match=f"landmarks.{suffix} is damaged; remove it, or leave out --resume"):
        ResumableTable(path, COLUMNS, "source", TableRun({}, True, told))
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"{ not a table"


def test_photos_of_a_broken_run_that_are_not_asked_for_again_are_counted(tmp_path: Path) -> None:
    path, stamps = tmp_path / "landmarks.csv", {name: [1, 2] for name in "abcde"}
    out = ResumableTable(path, COLUMNS, "source", TableRun({}), stamps)
    for name in "abc":
        out.add(rows(name))
    out.close()  # of c some rows may be missing
    out = ResumableTable(path, COLUMNS, "source", TableRun({}, True), {"d": [1, 2], "a": [1, 2]})
    assert (out.done, out.n_unasked, out.n_missing) == ({"a", "b"}, 1, 2)
    out.add(rows("d"))
    out.finish()
    assert [row[2] for row in whole(path)[1:]] == ["d", "d", "a", "a", "b", "b"]
    assert out.described(set())["stamps"].keys() == set("abcde")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_no_name_breaks_a_row_or_is_a_formula_or_a_pattern(tmp_path: Path, suffix: str) -> None:
    names = [
        "a\rb.jpg",
        "=cmd|x.jpg",
        "+1.jpg",
        "-1.jpg",
        "@x.jpg",
        "\tx.jpg",
        os.fsdecode(b"\xff.jpg"),
        'q"x.jpg',
    ]
    cells = [
        "a\rb.jpg",
        "./=cmd|x.jpg",
        "./+1.jpg",
        "./-1.jpg",
        "./@x.jpg",
        "./\tx.jpg",
        r"\xff.jpg",
        'q"x.jpg',
    ]
    folder = tmp_path / "run [1] *?"
    folder.mkdir()
    out = table(folder, suffix)
    for name in names:
        out.add(rows(path_cell(name), 1))
    out.finish()
    data = (folder / f"landmarks.{suffix}").read_bytes()
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[suffix]
    assert read(io.BytesIO(data))["source"].to_list() == cells
    write_failures(folder / "failures.csv", [Failure(names[1], f"{names[1]} is empty")])
    assert whole(folder / "failures.csv")[1] == [cells[1], f"{cells[1]} is empty"]
