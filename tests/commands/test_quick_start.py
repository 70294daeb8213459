"""A second run finds its programs and its model, and says to the byte what a run says without them."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest
from command_line import Outcome, runner, write_faces, write_model

from jaxclnf.batch import placed_faces
from jaxclnf.cache import Kept, cache_folder
from jaxclnf.fitting import fit as fitting
from jaxclnf.output import overlays, photo_pipeline

KEPT = [fitting.fit_batch, photo_pipeline._geometry, overlays._axes, placed_faces.turned_in_plane]
SETTINGS = ["--set", "windows=7,5", "--set", "start_rotations=0,0,0"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "photos", ["plain.png"])
    write_model(tmp_path)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    jax_keeps_in = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", jax_keeps_in)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def afresh() -> None:
    """Forget programs, as a process that has just begun."""
    jax.clear_caches()
    for each in KEPT:
        assert isinstance(each, Kept)
        each._programs.clear()


def not_traced(*_: object) -> None:
    raise AssertionError("a program is traced though it is kept")


def test_runs_with_and_without_the_cache_give_the_same_bytes(here: Path, monkeypatch, capfd) -> None:
    run = runner(monkeypatch, capfd)

    def table(out: str) -> bytes:
        afresh()
        boxes = ["--model", "model.npz", "--boxes", "photos/boxes.csv"]
        done = run("fit", "photos/plain.png", *boxes, *SETTINGS, "--out", out, "--no-report")
        assert done.status == 0, done.err
        return (here / out / "landmarks.csv").read_bytes() + (here / out / "plain.png").read_bytes()

    without = table("without")
    monkeypatch.setenv(cache_folder.VARIABLE, str(here / "cache"))
    first = table("first")
    kept = {path.name.partition("-")[0] for path in (here / "cache").iterdir()}
    assert kept == {"compiled", "model", "program"}
    monkeypatch.setattr(fitting, "fit_tries", not_traced)
    monkeypatch.setattr("jaxclnf.models.storage.read_checked", not_traced)
    assert table("second") == first == without
    afresh()


def test_a_cache_folder_of_others_is_said_in_a_sentence(here: Path, monkeypatch, capfd) -> None:
    (here / "cache").mkdir()
    (here / "cache").chmod(0o777)
    monkeypatch.setenv(cache_folder.VARIABLE, str(here / "cache"))
    (here / "broken.png").write_text("no picture")
    done: Outcome = runner(monkeypatch, capfd)("fit", "broken.png", "--model", "model.npz", "--out", "out")
    assert done.status == 1
    first, second = done.err.splitlines()
    assert first.startswith(f"jaxclnf: {here / 'cache'} belongs to another user or can be written by others")
    assert "broken.png is not a picture" in second
