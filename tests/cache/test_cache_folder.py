"""The cache folder: whole entries or none, of the user alone, of bounded size, whatever happens to it."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jaxclnf import cache
from jaxclnf.cache import cache_folder

PARTS = [b"some text", np.arange(1000, dtype=np.float32).tobytes(), b""]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache_folder.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_entry_comes_back_where_arrays_can_be_used(place: Path) -> None:
    cache.write("entry", PARTS)
    parts = cache.read("entry")
    assert parts is not None and [bytes(part) for part in parts] == PARTS
    array = np.frombuffer(parts[1], np.float32)
    assert array.ctypes.data % 64 == 0 and not array.flags.writeable
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "entry").stat().st_mode) == 0o600
    assert [path.name for path in place.iterdir()] == ["entry"]


@pytest.mark.parametrize("at", [0, 17, 30, 70, 500, -1])
def test_an_entry_with_another_byte_is_none(place: Path, at: int) -> None:
    cache.write("entry", PARTS)
    content = bytearray((place / "entry").read_bytes())
    content[at] ^= 1
    (place / "entry").write_bytes(content)
    assert cache.read("entry") is None
    cache.write("entry", PARTS)
    assert cache.read("entry") is not None


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04" * 100])
def test_other_files_are_no_entries(place: Path, content: bytes) -> None:
    cache.write("entry", PARTS)
    (place / "entry").write_bytes(content)
    assert cache.read("entry") is None
    assert cache.read("missing") is None


def test_an_entry_cut_short_is_none(place: Path) -> None:
    cache.write("entry", PARTS)
    os.truncate(place / "entry", 100)
    assert cache.read("entry") is None


def test_a_folder_that_others_can_write_is_refused_in_a_sentence(place: Path) -> None:
    cache.write("entry", PARTS)
    place.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="so nothing is kept in it: `chmod go-w`"):
        assert cache.read("entry") is None
    assert cache.read("entry") is None  # and is told of once
    cache.write("other", PARTS)
    assert not (place / "other").exists()


def test_files_of_others_and_links_are_not_read(place: Path, tmp_path: Path) -> None:
    cache.write("entry", PARTS)
    (place / "entry").rename(tmp_path / "planted")
    (place / "entry").symlink_to(tmp_path / "planted")
    assert cache.read("entry") is None
    cache.write("entry", PARTS)  # takes the link's place
    assert cache.read("entry") is not None and not (place / "entry").is_symlink()
    (place / "entry").chmod(0o620)
    assert cache.read("entry") is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_files_and_folders_of_other_users_are_not_read(place: Path) -> None:
    cache.write("entry", PARTS)
    os.chown(place / "entry", 12345, 12345)
    assert cache.read("entry") is None
    os.chown(place, 12345, 12345)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert cache.kept_in() is None


@pytest.mark.parametrize("named", ["", "off"])
def test_nothing_is_kept_where_it_is_off(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache_folder.VARIABLE, named)
    monkeypatch.chdir(tmp_path)
    cache.write("entry", PARTS)
    assert cache.place() is None and cache.read("entry") is None and not list(tmp_path.iterdir())


def test_a_place_where_no_folder_can_be_is_passed_over(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache_folder.VARIABLE, str(tmp_path / "file" / "cache"))
    cache.write("entry", PARTS)
    assert cache.read("entry") is None and cache.subfolder("compiled") is None


@pytest.mark.releases
def test_without_the_variable_it_is_the_users_cache_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(cache_folder.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.place() is not None and cache.place().name == "jaxclnf"  # type: ignore[union-attr]


def test_entries_not_used_for_longest_go_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate(("old", "middle", "new")):
        cache.write(name, [bytes(1000)])
        os.utime(place / name, (age, age))
    cache.read("old")  # which makes it the one used last
    monkeypatch.setattr(cache_folder, "MOST_BYTES", 3500)
    cache.write("last", [bytes(1000)])
    assert {path.name for path in place.iterdir()} == {"new", "old", "last"}


def test_models_leave_half_of_the_place_to_programs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder, "MOST_BYTES", 9000)
    for age, name in enumerate(("program-old", "program-new", *(f"model-{i}" for i in range(9)))):
        cache.write(name, [bytes(1000)])
        os.utime(place / name, (age, age))
    kept = {path.name for path in place.iterdir()}
    assert kept == {"program-old", "program-new", *(f"model-{i}" for i in range(3, 9))}
    for i in range(9):  # and programs no more than half, where there are models
        cache.write(f"program-{i}", [bytes(1000)])
    assert sorted(path.name[:-1] for path in place.iterdir()) == 4 * ["model-"] + 4 * ["program-"]


def test_what_a_killed_writer_left_goes_when_it_is_old(place: Path) -> None:
    cache.write("entry", PARTS)
    stale, fresh, foreign = "entry.0123456789ab.part", "entry.ba9876543210.part", "film.mkv.part"
    for name, age in ((fresh, 0), (stale, 2 * 3600), (foreign, 2 * 3600)):
        (place / name).touch()
        then = (place / "entry").stat().st_mtime - age
        os.utime(place / name, (then, then))
    cache.write("entry", PARTS)
    assert {path.name for path in place.iterdir()} == {"entry", fresh, foreign}


def test_a_folder_that_holds_a_users_files_loses_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = place / "compiled"
    compiled.mkdir(mode=0o700, parents=True)
    own = [place / "thesis.pdf", place / "model-1.npz", compiled / "main.o"]
    for path in (*own, compiled / f"jit_fit-{64 * 'a'}-cache"):
        path.write_bytes(bytes(9000))
        os.utime(path, (1, 1))
    monkeypatch.setattr(cache_folder, "MOST_BYTES", 2000)
    cache.write("entry", [bytes(1000)])
    cache.write("last", [bytes(1000)])
    assert cache.subfolder("compiled") == compiled
    assert {path for path in place.rglob("*") if path.is_file()} == {*own, place / "last"}
    monkeypatch.setenv(cache_folder.VARIABLE, str(own[0]))
    with pytest.warns(RuntimeWarning, match="thesis.pdf is not a folder, so nothing is kept in it"):
        cache.write("entry", PARTS)


def test_many_writers_of_one_entry_leave_a_whole_one(place: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.write("entry", PARTS), range(40)))
        found = list(pool.map(lambda _: cache.read("entry"), range(8)))
    assert all(parts is not None and bytes(parts[0]) == PARTS[0] for parts in found)
    assert [path.name for path in place.iterdir()] == ["entry"]
