"""Results as data frames; what trees say and when they are equal."""

from __future__ import annotations

import sys
from dataclasses import replace

import jax
import numpy as np
import polars as pl
import pytest
from engine import synthetic_config, synthetic_model

from jaxclnf.output.tables import columns
from jaxclnf.types import FaceParams, FitResult, Status

N_POINTS, N_MODES = 5, 3


def result(*status: Status) -> FitResult:
    """Random results of so many faces."""
    rng, n = np.random.default_rng(0), len(status)
    shapes = (n,), (n, 3), (n, 2), (n, N_MODES)
    return FitResult(
        landmarks=rng.uniform(0, 999, (n, N_POINTS, 2)).astype(np.float32),
        params=FaceParams(*(rng.normal(size=s).astype(np.float32) for s in shapes)),
        log_likelihood=rng.normal(size=n).astype(np.float32),
        landmark_likelihoods=np.ones((n, N_POINTS), np.float32),
        view=np.zeros(n, np.int32),
        iterations=np.zeros((n, 3, 2), np.int32),
        converged=np.ones(n, bool),
        status=np.array(status, np.int32),
    )


def test_a_frame_has_the_columns_of_tables_in_their_order() -> None:
    frame = result(Status.OK, Status.NOT_CONVERGED).to_frame()
    names = columns(N_POINTS, N_MODES)
    assert frame.columns == [name for name in names if name in frame.columns]
    kept = [
        n for n in names if not n.startswith(("X", "Y", "Z", "pose")) and n not in ("confidence", "source")
    ]
    assert frame.columns == kept


def test_every_value_of_a_frame_stands_under_its_name() -> None:
    found = result(Status.OK, Status.NOT_CONVERGED, Status.BOX_OUTSIDE)
    rows = found.to_frame().to_dicts()
    assert [row["face"] for row in rows] == [0, 1, 2]
    assert [row["status"] for row in rows] == ["ok", "not converged", "box outside the photo"]
    for i, row in enumerate(rows[:2]):
        face = jax.tree.map(lambda a, i=i: a[i], found)
        expected = {
            f"{axis}_{j}": face.landmarks[j, k] for k, axis in enumerate("xy") for j in range(N_POINTS)
        }
        expected |= {"p_scale": face.params.scale, "log_likelihood": face.log_likelihood}
        expected |= {f"p_r{axis}": v for axis, v in zip("xyz", face.params.rotation, strict=True)}
        expected |= {f"p_t{axis}": v for axis, v in zip("xy", face.params.translation, strict=True)}
        expected |= {f"p_{j}": v for j, v in enumerate(face.params.shape)}
        assert {name: row[name] for name in expected} == {n: float(v) for n, v in expected.items()}
    assert all(np.isnan(v) for name, v in rows[2].items() if name not in ("face", "status"))


def test_one_face_is_a_row_and_none_are_no_rows() -> None:
    one = jax.tree.map(lambda a: a[0], result(Status.OK))
    assert one.to_frame().equals(result(Status.OK).to_frame())
    empty = result().to_frame()
    assert len(empty) == 0 and empty.columns == one.to_frame().columns
    assert empty.schema["x_0"] == pl.Float64 and empty.schema["status"] == pl.String


def test_what_cannot_be_a_frame_is_refused() -> None:
    settings = jax.tree.map(lambda a: a[None], result(Status.OK))
    with pytest.raises(ValueError, match=r"one face or of a row of faces, got \(1, 1\)") as refused:
        settings.to_frame()
    assert "jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), result)" in str(refused.value)
    all_in_one = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), settings)
    assert all_in_one.to_frame().equals(result(Status.OK).to_frame())


def test_without_polars_a_sentence_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        result(Status.OK).to_frame()


def test_models_and_results_say_in_one_line_what_they_are() -> None:
    model, found = synthetic_model(np.float32), result(Status.OK, Status.BOX_OUTSIDE)
    said = "<Model without a name: 12 landmarks, 4 modes, 2 scales of patch experts; 0.9 MB>"
    assert repr(model) == said
    assert repr(found).startswith("FitResult(landmarks=float32[2,5,2], params=FaceParams(scale=[")
    assert "status=[0, 4], parts={}, covariance=None" in repr(found)
    assert "sigma=1.5, " in repr(synthetic_config().changed(sigma=1.5))
    within: list[str] = []
    jax.jit(lambda tree: within.append(repr(tree)) or tree)(found)
    assert within == [repr(jax.eval_shape(lambda tree: tree, found))]
    for tree in (model, found, model.experts, model.settings, jax.tree.map(lambda _: 0, model)):
        assert "\n" not in repr(tree)


def test_models_and_results_are_equal_where_their_numbers_are() -> None:
    for tree in (synthetic_model(np.float32), result(Status.OK, Status.NOT_FINITE)):
        assert tree == jax.tree.map(lambda a: np.array(a), tree)
        changed = jax.tree.map(lambda a: a + 1 if a.dtype == np.int32 else a, tree)
        assert tree != changed and tree != 3
    found = result(Status.NOT_FINITE)
    nothing = replace(found, log_likelihood=np.full(1, np.nan, np.float32))
    assert nothing == jax.tree.map(np.copy, nothing) != found
    assert result(Status.OK) != result(Status.OK, Status.OK)
