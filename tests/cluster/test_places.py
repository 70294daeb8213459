"""What is said of addresses whose store, or its library, has something against their use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from command_line import runner
from fsspec.implementations.memory import MemoryFileSystem

from jaxclnf.cluster.cluster_inputs import photo_sources
from jaxclnf.cluster.cluster_run import read_job
from jaxclnf.cluster.local_copies import Fetched
from jaxclnf.cluster.places import Store, Unreachable, copied
from jaxclnf.cluster.shards import read_plan
from jaxclnf.media.failures import Failure


class NoCredentialsError(Exception):
    """An error of a store's library, which names no file."""


ERRORS = (
    NoCredentialsError("Unable to locate\n  credentials"),
    PermissionError("Forbidden"),
    ConnectionRefusedError(111, "Connection refused"),
    FileNotFoundError("The specified bucket does not exist"),
    ValueError("Invalid bucket name"),
    TimeoutError(),
)


class Closed(MemoryFileSystem):
    """A store that answers every call by an error, but for whether files exist."""

    protocol = "closed"
    cachable = False
    error: Exception = ERRORS[0]
    knows = True  # of files, that they exist

    def _refuse(self, *_: object, **__: object) -> None:
        raise self.error

    ls = glob = find = isdir = get_file = put_file = rm_file = open = _refuse

    def exists(self, path: str, **_: object) -> bool:
        if not self.knows:
            raise self.error
        return True


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def said(request, monkeypatch) -> str:
    """What a closed store says, in one line."""
    fsspec.register_implementation("closed", Closed, clobber=True)
    monkeypatch.setattr(Closed, "error", request.param)
    words = " ".join(str(request.param).split())
    return type(request.param).__name__ + (f": {words}" if words else "")


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (lambda store: store.names("ledger"), "closed://run/ledger cannot be listed"),
        (lambda store: store.names(), "closed://run cannot be listed"),
        (lambda store: store.read("driver"), "closed://run/driver cannot be read"),
        (read_job, "closed://run/job.json cannot be read"),
        (lambda store: list(read_plan(store, 2)), "closed://run/plan.jsonl cannot be read"),
        (lambda store: store.write("driver", b""), "closed://run/driver cannot be written"),
        (lambda store: store.remove("driver"), "closed://run/driver cannot be removed"),
        (lambda store: copied(store.at("a.csv")).__enter__(), "closed://run/a.csv cannot be copied"),
    ],
)
def test_every_use_of_a_run_s_folder_names_the_file(
    said: str, use: Callable[[Store], object], sentence: str
) -> None:
    with pytest.raises(Unreachable) as raised:
        use(Store("closed://run"))
    assert str(raised.value) == f"{sentence}: {said}"


def test_a_command_ends_in_one_sentence(said: str, monkeypatch, capfd, tmp_path: Path) -> None:
    monkeypatch.setattr(Closed, "knows", False)
    outcome = runner(monkeypatch, capfd)("merge", "closed://run", tmp_path / "out.csv")
    assert outcome.status == 1
    assert outcome.err == f"jaxclnf: closed://run/job.json cannot be looked at: {said}\n"


def test_inputs_that_cannot_be_reached_are_named_and_the_rest_goes_on(said: str, tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/reached/a.png", b"x")
    far = [f"closed://photos{name}" for name in ("", "/*.png", "/list.txt", "/list.csv")]
    failures: list[Failure] = []
    assert list(photo_sources([*far, "memory:///reached"], failures)) == ["memory:///reached/a.png"]
    done = "listed", "listed", "read", "copied"
    expected = [Failure(a, f"{a} cannot be {d}: {said}") for a, d in zip(far, done, strict=True)]
    assert failures == expected
    copies = Fetched(tmp_path)
    path = copies.path("closed://photos/a.png")
    (failure,) = [copies.renamed(Failure(str(path), "is missing"))]
    assert failure.reason == f"closed://photos/a.png cannot be copied: {said}"


def test_a_store_without_its_package_is_named() -> None:
    with pytest.raises(
        Unreachable, match="what://run/driver cannot be reached: ValueError: Protocol not known"
    ):
        Store("what://run").read("driver")


def test_a_list_at_an_address_that_is_none_is_named_by_its_address() -> None:
    fsspec.filesystem("memory").pipe_file("/lists/a.csv", b"name\na.png\n")
    failures: list[Failure] = []
    assert list(photo_sources(["memory://lists/a.csv"], failures)) == []
    assert failures[0].reason == "memory://lists/a.csv is not a list of photos: it has no column file"
