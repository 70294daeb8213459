from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
import pytest

from jaxclnf.media.box_tables import boxes_of, boxes_without_photo, read_boxes, unclear_photos
from jaxclnf.media.earlier_results import LIST
from jaxclnf.media.images import read_photo
from jaxclnf.media.inputs import find_photos
from jaxclnf.media.video_inputs import absence, find_videos, sequence_photos

GREY = np.zeros((4, 4), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "deep/er/c.jpeg", "out/b.png", "it's 顔.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def closed(folder: Path) -> Iterator[Path]:
    """A folder, and a list beside it, that may not be read, to somebody to whom that matters."""
    place, listed, user = folder / "sets/closed", folder / "closed.txt", os.geteuid()
    place.mkdir(parents=True)
    for path in (place, listed):
        path.touch()
        path.chmod(0)
    folder.chmod(0o755)
    os.seteuid(user or 65534)
    yield Path("sets/closed")
    os.seteuid(user)
    place.chmod(0o755)


def names(photos: list[Path]) -> list[str]:
    return [str(p) for p in photos]


def test_folders_are_searched_and_own_pictures_left_out(folder: Path) -> None:
    (folder / "out" / LIST).write_text('{"files": {"b.png": "/elsewhere/b.jpg"}, "done": {}}')
    for argument in (".", "**/*.*[gG]"):
        found = find_photos([argument])
        assert names(found.paths) == ["a.PNG", "b.jpg", "deep/er/c.jpeg", "it's 顔.jpg"]
        assert found.failures == []
    assert names(find_photos(["."]).passed_over) == ["notes.txt"]
    assert names(find_photos(["out/b.png"]).paths) == ["out/b.png"]  # asked for by its name


def test_tables_are_lists_and_hold_boxes(folder: Path) -> None:
    table = pl.DataFrame({"File": ["b.jpg", "a.PNG", "b.jpg"], "x": [1.5, 2, 3], "y": 4, "w": 5, "h": 6})
    table.write_parquet("list.parquet")
    (folder / "list.csv").write_text("file;x;y;w;h\nb.jpg;1,5;4;5;6\na.PNG;2;4;5;6\nb.jpg;3;4;5;6\n")
    for name in ("list.parquet", "list.csv"):
        assert names(find_photos([name]).paths) == ["b.jpg", "a.PNG"]
        boxes = read_boxes(Path(name))
        np.testing.assert_array_equal(boxes["b.jpg"], [[1.5, 4, 5, 6], [3, 4, 5, 6]])
    table.drop("w").write_parquet("short.parquet")
    with pytest.raises(ValueError, match="short.parquet is not a table of boxes .* has no column w"):
        read_boxes(Path("short.parquet"))
    (folder / "no.parquet").write_bytes(b"PAR1 and no more")
    (failure,) = find_photos(["no.parquet"]).failures
    assert failure.reason.startswith("no.parquet is not a list of photos: ")


def test_patterns_lists_and_files_each_photo_once(folder: Path) -> None:
    (folder / "list.txt").write_text("b.jpg\n\nnowhere.jpg\n", encoding="utf-8")
    found = find_photos(["b.jpg", "**/*.jpeg", "list.txt", "*.jpg"])
    assert names(found.paths) == ["b.jpg", "deep/er/c.jpeg", "nowhere.jpg", "it's 顔.jpg"]
    assert found.failures == []


def test_a_name_with_brackets_is_a_file_where_it_exists(folder: Path) -> None:
    (folder / "[1].jpg").touch()
    assert names(find_photos(["[1].jpg"]).paths) == ["[1].jpg"]
    (folder / "set [2024]").mkdir()
    for name in ("a1.jpg", "a[2].jpg", ".hidden.jpg"):
        (folder / "set [2024]" / name).touch()
    expected = ["set [2024]/a1.jpg", "set [2024]/a[2].jpg"]
    for argument in ("set [2024]/*.jpg", "set [2024]/a*", "set *]/*", f"{folder}/set [2024]/?*.jpg"):
        found = [str(path).removeprefix(f"{folder}/") for path in find_photos([argument]).paths]
        assert found == expected


def test_what_stands_for_no_photo_is_named(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("\n")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    found = find_photos(["empty", "*.gif", "empty.txt", "bytes.txt", "b.jpg"])
    failures = found.failures
    assert names(found.paths) == ["b.jpg"]
    expected = ["holds no photos", "matches no file", "is an empty list", "not UTF-8"]
    assert len(failures) == 4
    for failure, sentence in zip(failures, expected, strict=True):
        assert sentence in failure.reason
        assert failure.source in failure.reason


def test_what_may_not_be_read_is_named_and_the_rest_goes_on(closed: Path) -> None:
    found = find_photos([f"{closed}/x.jpg", f"{closed}/list.txt", "closed.txt", "b.jpg"])
    assert names(found.paths) == [f"{closed}/x.jpg", f"{closed}/list.txt", "b.jpg"]
    assert [failure.reason for failure in found.failures] == ["closed.txt cannot be read: Permission denied"]
    assert find_videos([f"{closed}/x.mp4", "b.mp4"]).sources == [f"{closed}/x.mp4", "b.mp4"]
    assert absence(f"{closed}/x.mp4").startswith(f"{closed}/x.mp4 cannot be reached: Permission denied")
    for path, said in ((closed / "x.jpg", "Permission denied"), (Path("a" * 300), "File name too long")):
        with pytest.raises(ValueError, match=f"{path} cannot be reached: {said}; give a photo"):
            read_photo(path)


@pytest.mark.parametrize("find", [find_photos, find_videos])
def test_closed_folders_in_patterns_are_named(closed: Path, find) -> None:
    for argument in ("sets/*/*.jpg", "**/*.jpg", "sets/*", "sets/*/deeper/*.jpg", "sets"):
        reasons = [failure.reason for failure in find([argument]).failures]
        place = "sets/closed/deeper" if "deeper" in argument else "sets/closed"
        assert reasons == [f"{place} cannot be searched: Permission denied"]


def test_folders_that_match_stand_for_their_photos(folder: Path) -> None:
    (folder / "deep/link").symlink_to("er")
    for argument in ("dee*", "d*p/", "deep/*", "deep/**/"):
        assert names(find_photos([argument]).paths) == ["deep/er/c.jpeg"]
    assert names(find_photos(["[bd]*"]).paths) == ["b.jpg", "deep/er/c.jpeg"]
    (failure,) = find_photos(["*.jpg/"]).failures
    assert failure.reason == "*.jpg/ matches only folders without photos"


def test_every_folder_of_pictures_is_a_sequence(folder: Path) -> None:
    for name in ("anna/f1.jpg", "anna/f2.jpg", "ben/f1.jpg", "ben/g1.jpg", "ben/notes.txt", "film/a.mp4"):
        (folder / "seq" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "seq" / name).touch()
    both = ["seq/anna", "seq/ben"]
    assert find_videos(["seq/*"]).sources == [*both, "seq/film/a.mp4"]
    assert find_videos(["seq/[ab]*/", "seq/anna"]).sources == both
    assert find_videos(["seq/*/f*.jpg"]).sources == ["seq/anna/f*.jpg", "seq/ben/f*.jpg"]
    assert find_videos(["seq"]).sources == [*both, "seq/film/a.mp4"]
    assert names(sequence_photos("seq/ben").paths) == ["seq/ben/f1.jpg", "seq/ben/g1.jpg"]
    (failure,) = sequence_photos("seq").failures
    assert failure.reason == "seq holds no photos itself; give one of its sub-folders, as seq/anna"
    (folder / "seq/c.jpg").touch()
    assert find_videos(["seq"]).sources == [*both, "seq", "seq/film/a.mp4"]
    (folder / "seq/b.mp4").touch()
    found = find_videos(["seq"])  # pictures beside videos, also in sub-folders, as small copies of them
    assert (found.sources, len(found.passed_over)) == (["seq/b.mp4", "seq/film/a.mp4"], 6)
    (folder / "seq/b.mp4").unlink()
    assert names(sequence_photos("seq").paths) == names(sequence_photos("seq/*").paths) == ["seq/c.jpg"]


def test_what_systems_leave_on_disks_is_no_input(folder: Path) -> None:
    for name in ("._b.jpg", ".Trashes/501/x.jpg", "__MACOSX/y.jpg", "$RECYCLE.BIN/z.jpg", ".DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    found = find_photos(["."])
    assert names(found.paths) == ["a.PNG", "b.jpg", "deep/er/c.jpeg", "it's 顔.jpg", "out/b.png"]
    assert names(found.passed_over) == ["notes.txt"]
    assert "__MACOSX/y.jpg" not in names(find_photos(["*/*.jpg", "**/*.jpg", "*"]).paths)
    assert names(find_photos([".Trashes"]).paths) == [".Trashes/501/x.jpg"]  # asked for by its name
    assert find_videos(["."]).sources == [".", "deep/er", "out"]
    assert names(sequence_photos(".").paths) == ["a.PNG", "b.jpg", "it's 顔.jpg"]


def test_boxes_from_csv_and_json_agree(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(
        'file,y,x,w,h,extra\n"a,1.jpg",2,1,3,4,u\nb.jpg,6,5,7,8,v\n"a,1.jpg",10,9,11,12,w\n'
    )
    (tmp_path / "boxes.json").write_text(
        json.dumps({"a,1.jpg": [[1, 2, 3, 4], [9, 10, 11, 12]], "b.jpg": [5, 6, 7, 8]})
    )
    tables = [read_boxes(tmp_path / name) for name in ("boxes.csv", "boxes.json")]
    for boxes in tables:
        np.testing.assert_array_equal(boxes["a,1.jpg"], [[1, 2, 3, 4], [9, 10, 11, 12]])
        np.testing.assert_array_equal(boxes["b.jpg"], [[5, 6, 7, 8]])
    largest = read_boxes(tmp_path / "boxes.json", only_largest=True)
    np.testing.assert_array_equal(largest["a,1.jpg"], [[9, 10, 11, 12]])


def test_tilted_boxes_come_with_their_rolls(tmp_path: Path) -> None:
    names = ["a.jpg", "a.jpg", "b.jpg"]
    table = pl.DataFrame({"file": names, "x": [1, 5, 1], "y": 2, "w": 3, "h": 4, "Roll": [None, -0.5, 0.0]})
    table.write_csv(tmp_path / "a.csv")
    table.write_csv(tmp_path / "b.csv", separator=";", decimal_comma=True)
    table.write_parquet(tmp_path / "a.parquet")
    text = '{"a.jpg": [[1, 2, 3, 4], [5, 2, 3, 4, -0.5]], "b.jpg": [1, 2, 3, 4, 0]}'
    (tmp_path / "a.json").write_text(text)
    for name in ("a.csv", "b.csv", "a.parquet", "a.json"):
        boxes = read_boxes(tmp_path / name)
        np.testing.assert_array_equal(boxes["a.jpg"], [[1, 2, 3, 4, 0], [5, 2, 3, 4, -0.5]])
        np.testing.assert_array_equal(boxes["b.jpg"], [[1, 2, 3, 4]])  # level, as if it had no roll


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "file,x,y,w\nb.jpg,1,2,3\n"),
        ("a.csv", "file,x,y,w,h\nb.jpg,1,2,3,4\n,1,2,3,4\n"),
        ("a.csv", "file,x,y,x,w,h\nb.jpg,1,2,3,4,5\n"),
        ("a.json", "{"),
        ("a.json", "[1, 2]"),
        ("a.json", '{"b.jpg": [1, 2, 3, 4], "b.jpg": [5, 6, 7, 8]}'),
    ],
)
def test_a_broken_table_of_boxes_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"a\.(csv|json)") as error:
        read_boxes(tmp_path / name)
    assert len(str(error.value)) < 130 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("a.csv", ["b.jpg,1,2,three,4"], "in line 4 is ['1', '2', 'three', '4'], expected numbers x, y, w"),
        ("a.csv", ["b.jpg,1,2,3"], "in line 4 is ['1', '2', '3'], expected"),
        ("a.csv", ["b.jpg,1,2,3,4", "./b.jpg,nan,2,3,4"], "in line 5 is ['nan', '2', '3', '4'], expected"),
        ("a.json", ["[1, 2, 3]"], "is [1, 2, 3], expected"),
        ("a.json", ["[true, false, true, true]"], "is [True, False, True, True], expected"),
        ("a.json", ['{"x": 1}'], "is {'x': 1}, expected"),
        ("a.json", ["[[1, 2, 3, 4], [1]]"], "is [1], expected"),
        ("a.json", ["[1, 2, 3, 4, NaN, 6]"], "is [1, 2, 3, 4, nan, 6], expected"),
        ("a.json", ["[1, 2, 3, 4, Infinity]"], "is [1, 2, 3, 4, inf], expected"),
    ],
)
def test_a_box_without_numbers_fails_its_own_file(
    tmp_path: Path, name: str, rows: list[str], said: str
) -> None:
    table = tmp_path / name
    if table.suffix == ".csv":
        table.write_text("\n".join(["file,x,y,w,h", "a.jpg,1,2,3,4", "", *rows]))
    else:
        table.write_text(f'{{"a.jpg": [1, 2, 3, 4], "b.jpg": {rows[0]}}}')
    boxes = read_boxes(table)
    np.testing.assert_array_equal(boxes_of(Path("a.jpg"), GREY, boxes, table), [[1, 2, 3, 4]])
    with pytest.raises(ValueError, match=re.escape(f"{name}: the box of ")) as error:
        boxes_of(Path("b.jpg"), GREY, boxes, table)
    assert said in str(error.value) and len(str(error.value)) < 190 + len(str(tmp_path))


def test_a_row_of_more_cells_than_the_header_fails_its_own_file(tmp_path: Path) -> None:
    """As of decimal commas between commas, of which some cells would make a box."""
    table = tmp_path / "a.csv"
    lines = "file,x,y,w,h", "a.jpg,10,5,20,5,100,0,110,0", "b.jpg,1,2,3,4,, ,"
    table.write_text("\n".join(lines))
    boxes = read_boxes(table)
    np.testing.assert_array_equal(boxes_of(Path("b.jpg"), GREY, boxes, table), [[1, 2, 3, 4]])
    said = "a.csv: the box of a.jpg: line 2 has 9 cells, the header 5; are its commas decimal commas?"
    with pytest.raises(ValueError, match=re.escape(said)):
        boxes_of(Path("a.jpg"), GREY, boxes, table)
    table.write_text("\n".join(lines).replace(",", "\t"))
    with pytest.raises(ValueError, match="has 9 cells, the header 5; does a cell lack its quotes"):
        boxes_of(Path("a.jpg"), GREY, read_boxes(table), table)


def test_rows_of_empty_cells_are_of_photos_without_faces(tmp_path: Path) -> None:
    lines = "a.jpg,,,,", "b.jpg,nan,NaN,nan,nan", "c.jpg", "d.jpg,,,,", "d.jpg,1,2,3,4"
    (tmp_path / "a.csv").write_text("\n".join(["file,x,y,w,h", *lines]))
    pl.read_csv(tmp_path / "a.csv", truncate_ragged_lines=True).write_parquet(tmp_path / "a.parquet")
    none = "[null, null, null, null]"
    text = f'{{"a.jpg": null, "b.jpg": {none}, "c.jpg": [{none}], "d.jpg": [{none}, [1, 2, 3, 4]]}}'
    (tmp_path / "a.json").write_text(text)
    for name in ("a.csv", "a.parquet", "a.json"):
        boxes = read_boxes(tmp_path / name, only_largest=True)
        assert [boxes[f"{photo}.jpg"].shape for photo in "abc"] == [(0, 4)] * 3
        np.testing.assert_array_equal(boxes["d.jpg"], [[1, 2, 3, 4]])


def test_boxes_of_one_photo_by_two_names_are_together_and_none_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,x,y,w,h\na.jpg,1,2,3,4\n./a.jpg,5,6,7,8\n")
    np.testing.assert_array_equal(read_boxes(tmp_path / "a.csv")["a.jpg"], [[1, 2, 3, 4], [5, 6, 7, 8]])
    (tmp_path / "a.json").write_text('{"a.jpg": [], "b.jpg": [1, 2, 3, 4]}')
    boxes = read_boxes(tmp_path / "a.json")
    assert {name: rows.shape for name, rows in boxes.items()} == {"a.jpg": (0, 4), "b.jpg": (1, 4)}


def test_parquet_tables_may_have_brackets_in_their_names_and_no_empty_cells(folder: Path) -> None:
    pl.DataFrame({"file": ["b.jpg"]}).write_parquet(folder / "list[1].parquet")
    assert names(find_photos(["list[1].parquet"]).paths) == ["b.jpg"]
    pl.DataFrame({"file": ["b.jpg", None]}).write_parquet(folder / "gaps.parquet")
    found = find_photos(["gaps.parquet"])
    assert [f.reason for f in found.failures] == ["gaps.parquet is not a list of photos: row 2 has no file"]


def test_tables_with_cells_of_no_use_are_named(folder: Path, monkeypatch) -> None:
    (folder / "quote.csv").write_text('file,x,y,w,h\nb.jpg,1,2,3,4\n"a.jpg,' + "1,2,3,4\n" * 20_000)
    box = {"y": [2], "w": [3], "h": [4]}
    pl.DataFrame({"file": [b"\xff.jpg"], "x": [1], **box}).write_parquet("names.parquet")
    pl.DataFrame({"file": ["b.jpg"], "x": [[1, 2]], **box}).write_parquet("lists.parquet")
    quote = (
        "what begins in line 3 has no end (field larger than field limit (131072)); is a quote not closed?"
    )
    names = "its column file holds Binary, which is no text; expected texts or numbers"
    for table, said in (("quote.csv", quote), ("names.parquet", names)):
        (failure,) = find_photos([table]).failures
        assert failure.reason == f"{table} is not a list of photos: {said}"
        with pytest.raises(
            ValueError, match=re.escape(f"{table} is not a table of boxes (file,x,y,w,h): {said}")
        ):
            read_boxes(Path(table))
    with pytest.raises(
        ValueError, match=r"lists.parquet is not .* column x holds List\(Int64\), which is no"
    ):
        read_boxes(Path("lists.parquet"))

    def faulty(_: object) -> NoReturn:
        """As polars 2.1 of one damaged table among 200."""
        raise pl.exceptions.PanicException("range end index 3826 out of range for slice of length 1926")

    monkeypatch.setattr(pl, "read_parquet", faulty)
    (failure,) = find_photos(["lists.parquet"]).failures
    assert failure.reason == "lists.parquet is not a list of photos: it is damaged"


def test_a_missing_table_of_boxes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_boxes(tmp_path / "nowhere.csv")


def test_a_link_that_goes_round_is_a_photo_without_boxes(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(ValueError, match="loop.png has no box in"):
        boxes_of(tmp_path / "loop.png", GREY, {}, tmp_path / "boxes.csv")


def test_boxes_are_found_by_path_and_by_name(folder: Path) -> None:
    table = folder / "deep" / "boxes.csv"
    boxes = {"er/c.jpeg": np.ones((1, 4)), "b.jpg": np.zeros((2, 4)), "er/gone.jpg": np.ones((1, 4))}
    assert boxes_of(folder / "deep/er/c.jpeg", GREY, boxes, table) is boxes["er/c.jpeg"]
    assert boxes_of(Path("b.jpg"), GREY, boxes, table) is boxes["b.jpg"]
    with pytest.raises(ValueError, match=r"a\.PNG has no box"):
        boxes_of(Path("a.PNG"), GREY, boxes, table)
    one_letter, as_macos_has_it = "\u00fc.jpg", "u\u0308.jpg"
    for named, there in ((one_letter, as_macos_has_it), (as_macos_has_it, one_letter)):
        of_name = {named: np.ones((1, 4))}
        assert boxes_of(Path("deep", there), GREY, of_name, table) is of_name[named]
    for name, photo in (("../b.jpg", "b.jpg"), ("x/../b.jpg", "b.jpg"), (f"{folder}/i.jpg", "i.jpg")):
        (folder / "deep/more.csv").write_text(f"x, y, w, h, file\n1, 2, 3, 4, {name}\n")
        more = read_boxes(folder / "deep/more.csv")
        np.testing.assert_array_equal(
            boxes_of(Path(photo), GREY, more, folder / "deep/more.csv"), [[1, 2, 3, 4]]
        )
    boxes[str(Path("s3://bucket/far.jpg"))] = np.ones((1, 4))  # an address, of which nothing is known here
    assert [failure.source for failure in boxes_without_photo(boxes, table)] == ["er/gone.jpg"]


def test_a_bare_name_of_several_photos_is_none_of_them(folder: Path) -> None:
    (folder / "same.jpg").symlink_to("b.jpg")
    table, box = Path("boxes.csv"), np.ones((1, 4))
    boxes = {"i.jpg": box, "p1/j.jpg": box, "k.jpg": box, "b.jpg": box}
    names_of = ["p1/i.jpg", "p2/i.jpg", "p1/j.jpg", "k.jpg", "p1/k.jpg", "b.jpg", "same.jpg", "p2/l.jpg"]
    unclear = unclear_photos(boxes, [folder / name for name in names_of], table)
    expected = {"p1/i.jpg": "i.jpg", "p2/i.jpg": "i.jpg", "p1/k.jpg": "k.jpg"}
    assert unclear == {folder / photo: name for photo, name in expected.items()}
    with pytest.raises(ValueError, match=r"p2/i.jpg: i.jpg in boxes.csv may be another .* name its folder"):
        boxes_of(folder / "p2/i.jpg", GREY, boxes, table, unclear)
    assert boxes_of(folder / "same.jpg", GREY, boxes, table, unclear) is box


def test_numbers_in_names_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("frame10.jpg", "frame2.jpg", "frame1.jpg", "x/9.jpg", "x/010.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    expected = ["frame1.jpg", "frame2.jpg", "frame10.jpg", "x/9.jpg", "x/010.jpg"]
    assert names(find_photos(["."]).paths) == names(find_photos(["**/*.jpg"]).paths) == expected


def test_linked_folders_are_searched_and_circles_ended(folder: Path, tmp_path_factory) -> None:
    store = tmp_path_factory.mktemp("store")
    (store / "x.jpg").touch()
    (folder / "deep/linked").symlink_to(store)
    (folder / "deep/circle").symlink_to(folder / "deep")
    (folder / "deep/er/up").symlink_to("..")
    expected = ["deep/er/c.jpeg", "deep/linked/x.jpg"]
    for argument in ("deep", "deep/**/*.jp*g", "deep/**"):
        assert names(find_photos([argument]).paths) == expected


def test_pictures_that_cannot_be_read_are_named(folder: Path) -> None:
    for name in ("raw.CR2", "drawing.svg", "phone.HEIC"):
        (folder / "deep" / name).touch()
    found = find_photos(["deep"])
    assert names(found.paths) == ["deep/er/c.jpeg", "deep/phone.HEIC"]
    assert [failure.source for failure in found.failures] == ["deep/drawing.svg", "deep/raw.CR2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_and_boxes_from_windows(folder: Path, encoding: str, end: str) -> None:
    (folder / "list.txt").write_bytes(end.join(["it's 顔.jpg", "", "deep\\er\\c.jpeg"]).encode(encoding))
    assert names(find_photos(["list.txt"]).paths) == ["it's 顔.jpg", "deep/er/c.jpeg"]
    (folder / "'b.jpg'").touch()
    quoted = ['"b.jpg"', ' "deep\\er\\c.jpeg" ', "'b.jpg'", "'a.PNG'", '"gone.jpg"', '"']
    (folder / "quoted.txt").write_bytes(end.join(quoted).encode(encoding))
    expected = ["b.jpg", "deep/er/c.jpeg", "'b.jpg'", "a.PNG", "gone.jpg", '"']
    assert names(find_photos(["quoted.txt"]).paths) == expected
    tables = {
        "a.csv": ["file,x,y,w,h", ".\\b.jpg,1.5,2,3,4", "deep\\er\\c.jpeg,5,6,7,8"],
        "b.csv": ["file;x;y;w;h", ".\\b.jpg;1,5;2;3;4", "deep\\er\\c.jpeg;5;6;7;8"],
        "c.json": ['{".\\\\b.jpg": [1.5, 2, 3, 4],', '"deep/er/c.jpeg": [[5, 6, 7, 8]]}'],
    }
    for name, lines in tables.items():
        (folder / name).write_bytes(end.join(lines).encode(encoding))
        boxes = read_boxes(folder / name)
        np.testing.assert_array_equal(boxes_of(Path("b.jpg"), GREY, boxes, folder / name), [[1.5, 2, 3, 4]])
        np.testing.assert_array_equal(boxes["deep/er/c.jpeg"], [[5, 6, 7, 8]])


def test_a_list_is_seen_from_here_and_from_its_folder(folder: Path) -> None:
    (folder / "deep/list.txt").write_text("er/c.jpeg\nb.jpg\n")
    assert names(find_photos([str(folder / "deep/list.txt")]).paths) == [
        str(folder / "deep/er/c.jpeg"),
        "b.jpg",
    ]
