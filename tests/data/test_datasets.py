"""Reading annotated faces: what is kept, what is refused and why, splits and markups."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from jaxclnf.data.datasets import read_faces
from jaxclnf.data.markup import LANDMARKS_68, parse_groups
from jaxclnf.data.pts_files import read_pts

POINTS = np.array([[10, 10], [30, 10], [20, 30], [20, 20.0]], np.float32)


def write_photo(path, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (40, 50), dtype=np.uint8)
    cv2.imwrite(str(path), noise)


def write_pts(path, points, count=None):
    rows = "\n".join(f"{x} {y}" for x, y in points)
    path.write_text(f"version: 1\nn_points:  {count or len(points)}\n{{\n{rows}\n}}\n")


def write_table(folder, points, boxes=None, names=None):
    names = names or [f"{i}.png" for i in range(len(points))]
    arrays = {"names": np.array(names), "points": np.asarray(points, np.float32)}
    np.savez(folder / "points.npz", **arrays, **({} if boxes is None else {"boxes": boxes}))
    for i, name in enumerate(names):
        write_photo(folder / name, i)


def reasons(faces):
    return {r.photo.name: r.reason for r in faces.refused}


def test_table_is_read_with_boxes_and_photos(tmp_path):
    write_table(tmp_path, [POINTS, POINTS + 1], boxes=np.array([[0, 0, 9, 9], [1, 1, 9, 9.0]]))
    faces = read_faces([tmp_path])
    np.testing.assert_array_equal(faces.points[1], POINTS + 1)
    assert len(faces) == 2
    assert faces.boxes is not None
    assert faces.boxes.shape == (2, 4)
    assert faces.image(0).shape == (40, 50)
    assert faces.image(0).dtype == np.uint8
    assert faces.mirror is None
    assert not faces.refused


def test_pts_files_count_pixels_from_one(tmp_path):
    write_pts(tmp_path / "a.pts", POINTS)
    np.testing.assert_array_equal(read_pts(tmp_path / "a.pts"), POINTS - 1)


def test_pts_folder_names_every_refusal(tmp_path):
    for i, name in enumerate(["good", "few", "outside", "nan", "tiny", "twin"]):
        write_photo(tmp_path / f"{name}.png", seed=0 if name == "twin" else i)
    write_pts(tmp_path / "good.pts", POINTS)
    write_pts(tmp_path / "twin.pts", POINTS + 0.05)
    write_pts(tmp_path / "few.pts", POINTS[:3])
    write_pts(tmp_path / "outside.pts", POINTS + np.array([30, 0]))
    write_pts(tmp_path / "nan.pts", np.where(POINTS == 30, np.nan, POINTS))
    write_pts(tmp_path / "tiny.pts", 20 + POINTS / 100)
    write_pts(tmp_path / "lonely.pts", POINTS)
    write_pts(tmp_path / "broken.pts", POINTS)
    write_photo(tmp_path / "lying.png", 9)
    write_pts(tmp_path / "lying.pts", POINTS, count=2**31)
    write_photo(tmp_path / "binary.png", 10)
    (tmp_path / "binary.pts").write_bytes(bytes(range(256)))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    (tmp_path / "._good.pts").write_bytes(b"\0\5\x16\7")  # which macOS leaves on other systems' disks
    faces = read_faces([tmp_path])
    assert [p.name for p in faces.photos] == ["good.png"]
    assert reasons(faces) == {
        "few.png": "too few landmarks, 4 expected",
        "outside.png": "landmarks outside the photo",
        "nan.png": "landmarks that are not finite numbers",
        "tiny.png": "landmarks less than 8 pixels apart",
        "twin.png": "duplicate of another face",
        "lonely.pts": "no photo beside the .pts file",
        "lying.pts": "the .pts file holds 4 x 'x y' between braces, but its n_points is 2147483648",
        "binary.pts": "the .pts file is not UTF-8 text",
        "broken.png": "photo unreadable",
    }
    assert "1 faces of 4 landmarks read, 9 refused." in faces.summary()
    assert "1 refused: landmarks outside the photo (outside.png)" in faces.summary()


def test_faces_whose_errors_have_no_unit_are_refused(tmp_path):
    full = np.random.default_rng(0).uniform(5, 35, (2, 68, 2))
    full[1, 45] = full[1, 36]
    write_table(tmp_path, full)
    assert reasons(read_faces([tmp_path])) == {
        "1.png": "outer corners of the eyes in one place, by whose distance errors are measured"
    }


@pytest.mark.parametrize(
    ("start", "names"),
    [
        (b"\xef\xbb\xbfversion: 1\nn_points: 4", ("a.pts", "a.png")),
        ("# Gesicht für Übungen, 顔\nN_Points: 4".encode(), ("a.PTS", "a.PNG")),
        (b"# caf\xe9\r\n", ("a.Pts", "a.Jpg")),
        (b"", ("\u00fc.pts", "u\u0308.png")),  # one letter, and as macOS has it
    ],
)
def test_pts_files_of_any_origin_are_read(tmp_path, start, names):
    rows = "".join(f"{x} {y}\r\n" for x, y in POINTS + 1)
    (tmp_path / names[0]).write_bytes(start + b"\r\n{\r\n" + rows.encode() + b"}")
    write_photo(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / names[1])
    faces = read_faces([tmp_path])
    assert faces.photos == (tmp_path / names[1],)
    np.testing.assert_array_equal(faces.points, POINTS[None])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 2\n3 4\n", "has no lines 'x y' between braces { }"),
        ("n_points: 3\n{\n1 2\n}", "holds 1 x 'x y' between braces, but its n_points is 3"),
        ("{\n}", "holds 0 x 'x y' between braces"),
        ("{\n1 2 3\n}", "has the line '1 2 3' where 'x y' was expected"),
        ("{" + " " * 2**20, "has 1,048,577 bytes, more than any list of landmarks"),
    ],
)
def test_what_is_wrong_in_a_pts_file_is_said(tmp_path, text, sentence):
    (tmp_path / "a.pts").write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence) + "$"):
        read_pts(tmp_path / "a.pts")


def test_two_faces_of_one_photo_are_no_duplicates_and_stay_together(tmp_path):
    write_table(tmp_path, [POINTS, POINTS + 5] * 10, names=[f"{i // 2}.png" for i in range(20)])
    faces = read_faces([tmp_path])
    assert len(faces) == 20
    train, held = faces.split(0.3, seed=1)
    assert len(held) == 6
    assert not set(train.photos) & set(held.photos)


def test_split_repeats_with_its_seed(tmp_path):
    write_table(tmp_path, [POINTS + i / 10 for i in range(20)])
    faces = read_faces([tmp_path])
    first, again, other = (faces.split(0.25, seed)[1].photos for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut off", b"plain text", np.arange(3).tobytes()], ids=str
)
def test_broken_table_is_one_sentence(tmp_path, content):
    (tmp_path / "points.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"not a readable \.npz"):
        read_faces([tmp_path])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": ["a.png"]}, "lacks an array: .*points"),
        ({"names": ["a.png"], "points": np.zeros((2, 4, 2))}, r"names \(1,\)"),
        ({"names": ["a.png"], "points": np.array([["x"]])}, "numbers points"),
        ({"names": ["a.png"], "points": POINTS[None], "boxes": np.zeros((1, 3))}, r"boxes \(1, 4\)"),
        ({"names": np.array([{}]), "points": POINTS[None]}, "holds object, expected numbers or text; .* str"),
    ],
)
def test_table_of_wrong_arrays_says_what_came(tmp_path, arrays, message):
    np.savez(tmp_path / "points.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_faces([tmp_path])


def test_sources_that_are_no_datasets(tmp_path):
    with pytest.raises(ValueError, match="not a folder"):
        read_faces([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match=r"neither points\.npz nor \.pts"):
        read_faces([tmp_path])
    write_table(tmp_path, [POINTS + 100])
    with pytest.raises(ValueError, match="no usable face among 1 annotations: 1 x landmarks outside"):
        read_faces([tmp_path])


def test_mirror_of_68_is_an_involution_that_swaps_sides():
    mirror = np.array(LANDMARKS_68.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(68))
    for left, right in [(0, 16), (36, 45), (39, 42), (31, 35), (48, 54), (60, 64), (40, 47)]:
        assert mirror[left] == right
    assert [i for i in range(68) if mirror[i] == i] == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_regroup_averages_and_mirrors(tmp_path):
    full = np.random.default_rng(0).uniform(5, 35, (2, 68, 2))
    write_table(tmp_path, full)
    faces = read_faces([tmp_path])
    five = faces.regroup(parse_groups("36+39, 42+45,30,48,54"))
    np.testing.assert_allclose(five.points[0, 0], (full[0, 36] + full[0, 39]) / 2, rtol=1e-6)
    assert five.mirror == (1, 0, 2, 4, 3)
    assert five.eye_distances is not None
    np.testing.assert_allclose(
        five.take([1]).eye_distances, np.linalg.norm(faces.points[1:, 36] - faces.points[1:, 45], axis=1)
    )
    lopsided = faces.regroup(parse_groups("36,30"))
    assert lopsided.mirror is None
    with pytest.raises(ValueError, match="0 to 67"):
        faces.regroup([[68]])


def test_groups_as_text():
    assert parse_groups("36+39,48-50,7") == [[36, 39], [48], [49], [50], [7]]
    for text in ("eyes", "54-48", "0-99999999999"):
        with pytest.raises(ValueError, match=r"36\+39"):
            parse_groups(text)
