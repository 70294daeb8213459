from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jaxclnf.media.inputs import boxes_of, boxes_without_photo, find_photos, read_boxes

GREY = np.zeros((4, 4), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "deep/er/c.jpeg", "out/b.png", "it's 顔.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(photos: list[Path]) -> list[str]:
    return [str(p) for p in photos]


def test_folders_are_searched_and_own_pictures_left_out(folder: Path) -> None:
    photos, failures = find_photos([str(folder)], leave_out=folder / "out")
    found = [str(p.relative_to(folder)) for p in photos]
    assert found == ["a.PNG", "b.jpg", "deep/er/c.jpeg", "it's 顔.jpg"]
    assert failures == []


def test_patterns_lists_and_files_each_photo_once(folder: Path) -> None:
    (folder / "list.txt").write_text("b.jpg\n\nnowhere.jpg\n", encoding="utf-8")
    photos, failures = find_photos(["b.jpg", "**/*.jpeg", "list.txt", "*.jpg"])
    assert names(photos) == ["b.jpg", "deep/er/c.jpeg", "nowhere.jpg", "it's 顔.jpg"]
    assert failures == []


def test_a_name_with_brackets_is_a_file_where_it_exists(folder: Path) -> None:
    (folder / "[1].jpg").touch()
    assert names(find_photos(["[1].jpg"])[0]) == ["[1].jpg"]


def test_what_stands_for_no_photo_is_named(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("\n")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    photos, failures = find_photos(["empty", "*.gif", "empty.txt", "bytes.txt", "b.jpg"])
    assert names(photos) == ["b.jpg"]
    expected = ["holds no photos", "matches no file", "is an empty list", "no UTF-8"]
    assert len(failures) == 4
    for failure, sentence in zip(failures, expected, strict=True):
        assert sentence in failure.reason
        assert failure.source in failure.reason


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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "file,x,y,w\nb.jpg,1,2,3\n"),
        ("a.csv", "file,x,y,w,h\nb.jpg,1,2,three,4\n"),
        ("a.json", "{"),
        ("a.json", "[1, 2]"),
        ("a.json", '{"b.jpg": [1, 2, 3]}'),
        ("a.json", '{"b.jpg": {"x": 1}}'),
        ("a.json", '{"b.jpg": [[1, 2, 3, 4], [1]]}'),
    ],
)
def test_a_broken_table_of_boxes_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"a\.(csv|json)"):
        read_boxes(tmp_path / name)


def test_a_missing_table_of_boxes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_boxes(tmp_path / "nowhere.csv")


def test_boxes_are_found_by_path_and_by_name(folder: Path) -> None:
    table = folder / "deep" / "boxes.csv"
    boxes = {"er/c.jpeg": np.ones((1, 4)), "b.jpg": np.zeros((2, 4)), "er/gone.jpg": np.ones((1, 4))}
    assert boxes_of(folder / "deep/er/c.jpeg", GREY, boxes, table) is boxes["er/c.jpeg"]
    assert boxes_of(Path("b.jpg"), GREY, boxes, table) is boxes["b.jpg"]
    with pytest.raises(ValueError, match=r"a\.PNG has no box"):
        boxes_of(Path("a.PNG"), GREY, boxes, table)
    assert [failure.source for failure in boxes_without_photo(boxes, table)] == ["er/gone.jpg"]
