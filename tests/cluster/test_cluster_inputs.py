"""What arguments stand for on a cluster: files here, files at addresses, lists of both."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from PIL import Image

from jaxclnf.cluster.cluster_inputs import photo_sources, video_sources
from jaxclnf.cluster.local_copies import Fetched, has_come, is_absent
from jaxclnf.media.failures import Failure


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """A folder on an object store: three photos, one of them deeper, a text and a list."""
    place = f"memory:///{tmp_path.name}"
    system = fsspec.filesystem("memory")
    for name in ("2.png", "10.png", "deep/3.png", "note.md"):
        system.pipe_file(f"/{tmp_path.name}/{name}", b"x")
    system.pipe_file(f"/{tmp_path.name}/list.txt", f"deep/3.png\n\n{place}/2.png\r\n/here/4.png\n".encode())
    return place


def sources(*arguments: str) -> tuple[list[str], list[Failure]]:
    failures: list[Failure] = []
    return list(photo_sources(arguments, failures)), failures


@pytest.mark.releases
def test_folders_patterns_and_lists_at_addresses(bucket: str) -> None:
    names = [f"{bucket}/{name}" for name in ("2.png", "10.png", "deep/3.png")]
    assert sources(bucket) == (names, [])
    assert sources(f"{bucket}/*.png") == (names[:2], [])
    assert sources(f"{bucket}/list.txt") == ([names[2], names[0], "/here/4.png"], [])
    assert sources(names[0], bucket, names[0]) == (names, [])


def test_files_here_are_those_of_a_run_here(tmp_path: Path, monkeypatch, bucket: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in (10, 9):
        Image.new("RGB", (8, 8)).save(f"photos/{i}.png")
    (tmp_path / "list.txt").write_text(f'photos/10.png\n"{bucket}/2.png"\n')
    assert sources("photos") == (["photos/9.png", "photos/10.png"], [])
    assert sources(f"file://{tmp_path}/photos")[0] == [f"{tmp_path}/photos/{i}.png" for i in (9, 10)]
    assert sources("list.txt")[0] == ["photos/10.png", f"{bucket}/2.png"]
    assert sources(f"file://{tmp_path}/list.txt")[0] == [f"{tmp_path}/photos/10.png", f"{bucket}/2.png"]


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(bucket: str) -> None:
    found, failures = sources("nothing/*.png", f"{bucket}/*.jpg", "what://x/y", f"{bucket}/2.png")
    assert found == [f"{bucket}/2.png"]
    assert [failure.source for failure in failures] == ["nothing/*.png", f"{bucket}/*.jpg", "what://x/y"]


def test_streams_are_taken_as_they_are() -> None:
    assert list(video_sources(["rtsp://camera/1"], [])) == ["rtsp://camera/1"]


def test_copies_are_called_as_their_sources_and_go_when_used(tmp_path: Path, bucket: str) -> None:
    fetched = Fetched(tmp_path)
    copy, here, missing = fetched.paths([f"{bucket}/2.png", "a.png", f"{bucket}/no.png"])
    assert copy.read_bytes() == b"x" and fetched.source(copy) == f"{bucket}/2.png"
    assert here == Path("a.png") and fetched.source(here) == "a.png"
    renamed = fetched.renamed(Failure(str(copy), f"{copy} is empty"))
    assert renamed == Failure(f"{bucket}/2.png", f"{bucket}/2.png is empty")
    gone = fetched.renamed(Failure(str(missing), "does not exist"))
    assert gone.source == f"{bucket}/no.png" and "cannot be copied" in gone.reason
    assert is_absent(gone) and not is_absent(renamed) and not has_come(gone)
    fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/no.png", b"x")
    assert has_come(gone) and not has_come(renamed)
    fetched.release(copy)
    assert not copy.exists()


def test_what_was_missing_may_come_and_what_was_of_no_use_has_been_there(tmp_path: Path) -> None:
    file, pattern = tmp_path / "a.png", tmp_path / "*.png"
    missing, useless = (Failure(str(file), f"{file} {why}") for why in ("does not exist", "is empty"))
    film = Failure(str(pattern), f"{pattern} could not be worked on: ValueError")
    assert [is_absent(each) for each in (missing, useless, film)] == [True, False, False]
    assert not has_come(missing)
    file.touch()
    assert [has_come(each) for each in (missing, useless, film)] == [True, False, False]
