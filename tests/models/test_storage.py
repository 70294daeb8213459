"""A model survives its file bit by bit; a file that is damaged or no model's is refused in one sentence."""

from __future__ import annotations

import errno
import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from openface_files import write_model
from shared_data import shared

from jaxclnf.config import setting
from jaxclnf.models import npz, storage
from jaxclnf.models.npz import checksum
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.types import EarlyTermination, Model, Part


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return convert_openface(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def saved(model: Model, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "model.npz")
    return tmp_path / "model.npz"


def _rewrite(path: Path, **changes: np.ndarray | None) -> None:
    """Replaces arrays of a file (None: removes them) and makes its checksum right again."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "checksum"}
    arrays |= {name.replace("__", "/"): value for name, value in changes.items()}  # type: ignore
    arrays = {name: value for name, value in arrays.items() if value is not None}
    np.savez(path, **arrays, checksum=np.array(checksum(arrays)))


def _header(path: Path, **changes) -> np.ndarray:
    with np.load(path) as file:
        header = json.loads(file["header"].tobytes())
    return np.frombuffer(json.dumps(header | changes).encode(), np.uint8)


@pytest.mark.releases
def test_model_comes_back(model: Model, saved: Path) -> None:
    loaded = load_model(saved)
    chex.assert_trees_all_equal(loaded, model)
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    assert loaded.provenance == model.provenance and "licence" in loaded.provenance.licence


def test_a_model_without_experts_comes_back(model: Model, tmp_path: Path) -> None:
    bare = Model(model.pdm, ())
    save_model(bare, tmp_path / "bare.npz")
    chex.assert_trees_all_equal(load_model(tmp_path / "bare.npz"), bare)


def test_the_rule_for_ending_the_search_among_tries_comes_back(model: Model, tmp_path: Path) -> None:
    n_views = len(model.experts[0].view_centres)
    rule = EarlyTermination(*np.arange(3 * n_views, dtype=np.float32).reshape(3, n_views))
    part = Part("mouth", (0, 1), (1, 0), replace(model, early_termination=rule, parts=()))
    path = tmp_path / "early.npz"
    save_model(replace(model, early_termination=rule, parts=(part,)), path)
    loaded = load_model(path)
    assert loaded.early_termination == rule == loaded.parts[0].model.early_termination
    _rewrite(path, early_termination__cutoffs=np.zeros(n_views + 1, np.float32))
    with pytest.raises(ValueError, match="early_termination/cutoffs: float32 of shape"):
        load_model(path)


def test_numbers_of_landmarks_may_be_numpys(model: Model, tmp_path: Path) -> None:
    shared = tuple(np.arange(3))
    part = Part("mouth", shared, shared[::-1], replace(model, parts=()))
    save_model(replace(model, parts=(part,)), tmp_path / "parts.npz")
    part = load_model(tmp_path / "parts.npz").parts[0]
    assert (part.main_points, part.part_points) == ((0, 1, 2), (2, 1, 0))
    assert {type(n) for n in part.main_points} == {int}


def test_float64_comes_back(tmp_path: Path) -> None:
    with jax.enable_x64(True):
        model = convert_openface(write_model(tmp_path), np.float64)
        save_model(model, tmp_path / "model.npz")
        chex.assert_trees_all_equal(load_model(tmp_path / "model.npz", np.float64), model)
    with pytest.raises(ValueError, match="jax_enable_x64"):
        load_model(tmp_path / "model.npz", np.float64)
    half = load_model(tmp_path / "model.npz")
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {np.dtype(t) for t in ("f4", "bool", "i4")}


def test_openfaces_model_comes_back_from_a_small_file(tmp_path: Path) -> None:
    model = convert_openface(shared("openface", "model", "main_clnf_general.txt"))
    save_model(model, tmp_path / "model.npz")
    assert (tmp_path / "model.npz").stat().st_size < 8e6
    chex.assert_trees_all_equal(load_model(tmp_path / "model.npz"), model)


def test_weights_in_float16_and_nothing_else(model: Model, saved: Path, tmp_path: Path) -> None:
    save_model(model, tmp_path / "small.npz", weights_dtype=np.float16)
    assert (tmp_path / "small.npz").stat().st_size < saved.stat().st_size
    small = load_model(tmp_path / "small.npz")
    for mine, whole in zip(small.experts, model.experts, strict=True):
        rounded = np.asarray(whole.weights).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(mine.weights, rounded, strict=True)
        chex.assert_trees_all_equal(replace(mine, weights=whole.weights), whole)


def test_parts_of_parts_are_refused_before_they_are_written(model: Model, tmp_path: Path) -> None:
    inner = Part("eye", (0, 1), (1, 0), replace(model, parts=()))
    outer = Part("mouth", (0, 1), (1, 0), replace(model, parts=(inner,)))
    with pytest.raises(ValueError, match="the part 'mouth' has parts of its own, which no file"):
        save_model(replace(model, parts=(outer,)), tmp_path / "deep.npz")
    assert not list(tmp_path.iterdir())


def test_same_model_gives_the_same_bytes(model: Model, saved: Path, tmp_path: Path) -> None:
    save_model(model, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_nothing_is_pickled(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_a_failed_save_leaves_the_old_file_and_no_other(model: Model, saved: Path, monkeypatch) -> None:
    before = saved.read_bytes()
    pdm = replace(model.pdm, mean=model.pdm.mean * np.nan)
    with pytest.raises(ValueError, match="pdm/mean holds numbers that are not finite"):
        save_model(replace(model, pdm=pdm), saved)
    with pytest.raises(ValueError, match="not finite in float16"):
        weights = model.experts[0].weights * 1e6
        save_model(replace(model, experts=(replace(model.experts[0], weights=weights),)), saved, np.float16)
    monkeypatch.setattr(np, "savez_compressed", fails_as_on_a_full_disk)
    with pytest.raises(OSError, match=f"No space left on device: '{saved}'"):
        save_model(model, saved)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def fails_as_on_a_full_disk(*_, **__) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as of a write, without a name


def test_a_place_that_is_none_is_refused(model: Model, tmp_path: Path) -> None:
    device = tmp_path / "device"
    os.mkfifo(device)  # one would be replaced by the file
    for path in (tmp_path, tmp_path / "gone" / "model.npz", device):
        with pytest.raises(ValueError, match="not a place for a file"):
            save_model(model, path)
    with pytest.raises(ValueError, match="weights_dtype = 'int8', expected numpy.float16"):
        save_model(model, tmp_path / "model.npz", "int8")
    assert list(tmp_path.iterdir()) == [device]
    longest = tmp_path / f"{'n' * 251}.npz"
    save_model(model, longest)
    assert longest.is_file()


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda c: c[: len(c) // 2], "not a whole model file"),
        (lambda c: c[:-1], "not a whole model file"),
        (lambda c: b"", "not a whole model file"),
        (lambda c: b"LandmarkDetector clnf.txt", "not a whole model file"),
        (lambda c: _npz(points=np.zeros(3)), "'checksum' is missing"),
        (lambda c: _npz(checksum=np.array("0"), a=np.zeros(3)), "the checksum does not match"),
        (lambda c: _npz(checksum=np.array([None])), "not a whole model file .*holds object, expected"),
    ],
)
def test_other_files_are_refused(saved: Path, content, sentence: str) -> None:
    saved.write_bytes(content(saved.read_bytes()))
    with pytest.raises(ValueError, match=sentence) as caught:
        load_model(saved)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_missing_model_are_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ValueError, match="gone.npz does not exist"):
        load_model(tmp_path / "gone.npz")
    monkeypatch.setattr(storage, "_SHIPPED", "gone.npz")
    with pytest.raises(ValueError, match="no model ships with this version"):
        load_model()


def test_the_model_that_ships_is_found_beside_the_package(saved: Path, tmp_path: Path, monkeypatch) -> None:
    for folder in ("package/params", "params"):
        place = tmp_path / folder / "model.npz"
        place.parent.mkdir(parents=True)
        place.write_bytes(saved.read_bytes())
        monkeypatch.setattr(storage, "__file__", str(tmp_path / "package" / "models" / "storage.py"))
        chex.assert_trees_all_equal(load_model().pdm, load_model(saved).pdm)
        place.unlink()


def test_settings_saved_before_there_was_a_choice_mean_what_they_did(saved: Path) -> None:
    _rewrite(saved, header=_header(saved, settings={"windows": [9, 7], "scales": [0, 1]}))
    settings = load_model(saved).settings
    assert setting(settings, "windows") == (9, 7)
    assert not any(setting(settings, "between_views")) and not settings.parts


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (lambda p: {"header": _header(p, version=4)}, "version 4, expected jaxclnf model version 3"),
        (lambda p: {"header": _header(p, format="other")}, "other version 3"),
        (lambda p: {"header": _header(p, parts=7)}, "not a model"),
        (lambda p: {"header": _header(p, provenance={})}, "'name' is missing"),
        (lambda p: {"header": np.frombuffer(b"[" * 100_000, np.uint8)}, "not a model"),
        (lambda p: {"header": np.zeros(3, np.uint8)}, "not a model"),
        (lambda p: {"pdm__mean": None}, "'mean' is missing"),
        (lambda p: {"pdm__mean": np.zeros((6, 2), np.float32)}, "pdm/mean: float32 of shape \\(6, 2\\)"),
        (lambda p: {"pdm__mean": np.zeros((6, 3), np.int32)}, "pdm/mean: int32"),
        (
            lambda p: {"pdm__mean": np.full((6, 3), 1e99)},
            "pdm/mean holds numbers that are not finite in float32",
        ),
        (lambda p: {"experts__0__alpha": np.ones((2, 5, 3), np.float32)}, "experts/alpha: .*\\(2, 5, 3\\)"),
        (lambda p: {"experts__0__edges__3": np.ones((2, 25, 25), np.float32)}, "edges of window 3"),
        (lambda p: {"experts__0__edges__x": np.ones((2, 25, 25), np.float32)}, "not a model"),
        (lambda p: {"experts__1__betas": np.full((2, 6, 2), -9, np.float32)}, "no positive definite"),
        (lambda p: {"experts": np.ones(3)}, "not a model"),
    ],
)
def test_files_that_hold_no_model_are_refused(saved: Path, changes, sentence: str) -> None:
    _rewrite(saved, **changes(saved))
    with pytest.raises(ValueError, match=sentence) as caught:
        load_model(saved)
    assert str(saved) in str(caught.value)


def test_files_that_unpack_to_too_much_are_refused(saved: Path, monkeypatch) -> None:
    monkeypatch.setattr(npz, "_FACTOR", -(2**26) // saved.stat().st_size)
    with pytest.raises(ValueError, match="its arrays would take .* bytes of memory"):
        load_model(saved)


def test_an_array_that_claims_to_be_huge_is_refused(saved: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(saved, "w") as file:
        file.writestr("header.npy", header.getvalue())
    with pytest.raises(ValueError, match="not a whole model file"):
        load_model(saved)


def test_mutated_files_are_refused_or_harmless(model: Model, saved: Path) -> None:
    """What a zip file does not check, as the time of its members, may change."""
    content, rng, refused = saved.read_bytes(), np.random.default_rng(0), 0
    for _ in range(100):
        at = int(rng.integers(len(content)))
        saved.write_bytes(content[:at] + rng.bytes(int(rng.integers(1, 9))) + content[at + 4 :])
        try:
            chex.assert_trees_all_equal(load_model(saved), model)
        except ValueError as error:
            assert len(str(error)) < 600 and "\n" not in str(error)
            refused += 1
    assert refused > 90
