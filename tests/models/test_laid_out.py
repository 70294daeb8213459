"""Models kept as fits use them are those in their files, bit by bit, whatever becomes of the cache folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from engine import synthetic_model

from jaxclnf.cache import cache_folder
from jaxclnf.models import storage
from jaxclnf.models.storage import load_model, save_model


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder, and a model's file beside it."""
    save_model(synthetic_model(np.float32), tmp_path / "model.npz")
    monkeypatch.setenv(cache_folder.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def unread(*_: object) -> None:
    raise AssertionError("the file is read though its model is kept")


def test_a_model_is_read_once_and_comes_back_from_the_cache(place: Path, tmp_path: Path, monkeypatch) -> None:
    first = load_model(tmp_path / "model.npz")
    monkeypatch.setattr(storage, "read_checked", unread)
    again = load_model(tmp_path / "model.npz")
    chex.assert_trees_all_equal(first, again)
    assert jax.tree.structure(first) == jax.tree.structure(again)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(again))
    save_model(replace(first, settings=replace(first.settings, tolerance=0.02)), tmp_path / "model.npz")
    with pytest.raises(AssertionError):  # of another content under the same name
        load_model(tmp_path / "model.npz")


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: b"x"])
def test_a_damaged_entry_is_made_anew(place: Path, tmp_path: Path, damage) -> None:
    first = load_model(tmp_path / "model.npz")
    (entry,) = place.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    chex.assert_trees_all_equal(load_model(tmp_path / "model.npz"), first)
    assert entry.read_bytes() == whole


def test_both_precisions_are_kept_apart(place: Path, tmp_path: Path) -> None:
    load_model(tmp_path / "model.npz")
    with jax.enable_x64(True):
        for _ in range(2):
            assert load_model(tmp_path / "model.npz", np.float64).pdm.mean.dtype == np.float64
    assert len(list(place.iterdir())) == 2


def test_a_file_that_is_no_model_is_refused_as_ever(place: Path, tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 nothing")
    for _ in range(2):
        with pytest.raises(ValueError, match="not a whole model file"):
            load_model(tmp_path / "model.npz")
    assert not place.exists() or not list(place.iterdir())
