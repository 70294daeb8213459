"""What the command line says of clusters before any work is done."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import fsspec
import pytest
from command_line import runner, write_faces, write_model

from jaxclnf.cluster.ray_engine import _ended_as_before, folder_for_sockets
from jaxclnf.commands.fit import _digest


@pytest.fixture
def run(monkeypatch, capfd, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def test_without_ray_one_sentence_names_the_extra(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = run("fit", "photos", "--cluster", "local")
    assert outcome.status == 1
    assert outcome.err == (
        "jaxclnf: --cluster needs the package ray, which is not installed: pip install 'jaxclnf[cluster]'\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cluster", "local", "--report"], "--report: runs on a cluster write none; "),
        (["--cluster", "local", "--format", "csv"], "--format csv: runs on a cluster write Parquet; "),
        (["--shard", 5], "--shard is for runs on a cluster; say which one by --cluster"),
    ],
)
def test_options_without_effect_are_refused(run, options: list, said: str) -> None:
    outcome = run("fit", "photos", *options)
    assert outcome.status == 1 and outcome.err.startswith(f"jaxclnf: {said}")


def test_where_no_cluster_answers_nothing_is_begun(run) -> None:
    write_model(Path())
    write_faces(Path("photos"), ["0.png"])
    with socket.create_server(("127.0.0.1", 0)) as server:  # a port that is free when it is closed again
        port = server.getsockname()[1]
    outcome = run("fit", "photos", "--model", "model.npz", "--cluster", f"127.0.0.1:{port}", "--out", "out")
    assert outcome.status == 1
    assert outcome.err.startswith(f"jaxclnf: --cluster 127.0.0.1:{port}: no cluster answers")
    assert not list(Path("out").glob("*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_cluster_s_files_lie_where_its_sockets_can_have_names(monkeypatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 23)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", "/short")
    assert folder_for_sockets() == "/short"
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert folder_for_sockets() == "/tmp"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match=r"x, the folder of temporary files, has too long .* set TMPDIR to"):
        folder_for_sockets()


def test_the_program_ends_as_before_also_where_ray_could_not_start() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), _ended_as_before():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_knows_its_boxes_by_what_the_table_says_wherever_it_is(tmp_path: Path) -> None:
    """A table at an address that has changed is another one; the same one elsewhere is not."""
    store, here = fsspec.filesystem("memory"), tmp_path / "boxes.csv"
    tables = b"file,x,y,w,h\n", b"file,x,y,w,h\na.png,1,2,3,4\n"
    digests = []
    for table in tables:
        store.pipe_file("/digest/boxes.csv", table)
        here.write_bytes(table)
        digests.append({_digest(at) for at in ("memory://digest/boxes.csv", str(here), f"file://{here}")})
    assert [len(each) for each in digests] == [1, 1] and digests[0] != digests[1]
    assert _digest(None) == "" and _digest("nowhere.csv") == "nowhere.csv"
    with pytest.raises(ValueError, match="memory://digest/none.csv cannot be copied"):
        _digest("memory://digest/none.csv")
