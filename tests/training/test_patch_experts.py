"""Learning patch experts: a tiny model of five points finds faces, and mistakes are named in a sentence."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import runner
from jaxtyping import Array
from shared_data import shared

from jaxclnf.commands.train import train_command
from jaxclnf.config import setting
from jaxclnf.data.datasets import Faces, read_faces
from jaxclnf.data.evaluate import fit_annotated, not_learned
from jaxclnf.fitting.box_starts import corrected_boxes
from jaxclnf.fitting.face_params import params_from_box
from jaxclnf.models.storage import load_model
from jaxclnf.ops.shape import shape_2d
from jaxclnf.training.checkpoint import Checkpoint
from jaxclnf.training.neurons import edge_terms
from jaxclnf.training.patch_experts import _run
from jaxclnf.training.patch_recipe import Recipe
from jaxclnf.types import Model

FIVE_POINTS = "36+39,42+45,30,48,54"
GROUPS = [[36, 39], [42, 45], [30], [48], [54]]
TINY = (
    "scales=0.25,0.5",
    "windows=11,11",
    "sigmas=1.5,1.5",
    "reg_factors=10,10",
    "neurons=3",
    "yaws=",
    "steps=300,150",
    "rates=0.05,0.02",
    "batch=8",
    "start_yaws=0",
    "held_back=0.1",
)
SEED = 5


@pytest.fixture
def run(monkeypatch, capfd):
    return runner(monkeypatch, capfd)


def faces_of(dataset: str, first: int, last: int) -> Faces:
    return read_faces([shared("faces", dataset)]).take(np.arange(first, last))


def write_dataset(folder: Path, faces: Faces) -> Path:
    """A dataset of some faces of another one."""
    folder.mkdir()
    for photo in faces.photos:
        (folder / photo.name).symlink_to(photo.resolve())
    names = [photo.name for photo in faces.photos]
    assert faces.boxes is not None
    np.savez(folder / "points.npz", names=names, points=faces.points, boxes=faces.boxes)
    return folder


def errors(landmarks: np.ndarray, faces: Faces) -> np.ndarray:
    """Mean point error of each face in percent of the eye distance."""
    assert faces.eye_distances is not None
    return 100 * np.linalg.norm(landmarks - faces.points, axis=-1).mean(-1) / faces.eye_distances


def boxed(model: Model, faces: Faces) -> Array:
    """The mean face in every box."""
    assert faces.boxes is not None
    boxes = corrected_boxes(jnp.asarray(faces.boxes), jnp.asarray(model.settings.box_correction)[None])
    starts = jax.vmap(lambda box: params_from_box(model.pdm, box, jnp.zeros(3)))(boxes)
    return jax.vmap(lambda params: shape_2d(model.pdm, params))(starts)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("train") / "faces", faces_of("lfpw_train", 0, 150))


def learn(data: Path, out: Path) -> None:
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        train_command([data], out, FIVE_POINTS, SEED, list(TINY))


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    out = data.parent / "five.npz"
    learn(data, out)
    assert not list(out.parent.glob("*checkpoint*"))
    return out


def test_a_tiny_model_beats_the_box_by_far(trained: Path) -> None:
    unknown = faces_of("lfpw_train", 300, 350).regroup(GROUPS)
    model = load_model(trained)
    fits = np.stack([np.asarray(r.landmarks) for r in fit_annotated(model, unknown, model.settings)])
    before = errors(np.asarray(boxed(model, unknown)), unknown)
    after = errors(fits, unknown)
    assert np.median(after) < 0.5 * np.median(before)
    assert after.mean() < 0.6 * before.mean()


def test_a_run_that_was_stopped_goes_on_to_the_same_model(data: Path, trained: Path, monkeypatch) -> None:
    out = data.parent / "again.npz"
    chunks = iter(range(3))

    def stopped_after_three(*arguments):
        if next(chunks, None) is None:
            raise KeyboardInterrupt
        return _run(*arguments)

    monkeypatch.setattr("jaxclnf.training.checkpoint.EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("jaxclnf.training.patch_experts._run", stopped_after_three)
        with pytest.raises(KeyboardInterrupt):
            learn(data, out)
    assert not out.exists()
    learn(data, out)
    with np.load(trained) as first, np.load(out) as second:
        weights = [name for name in first if name.endswith("/weights")]
        assert weights
        for name in weights:
            np.testing.assert_array_equal(first[name], second[name])


def test_a_model_knows_what_it_learned_and_how_sure_it_is(data: Path, trained: Path) -> None:
    """Whatever the seed, the faces held back are those that the model has not learned from."""
    model, faces = load_model(trained), read_faces([data])
    learned, held_back = faces.split(0.1, SEED)
    assert model.learned == frozenset(learned.digests) and len(model.learned) == len(learned) > 0
    np.testing.assert_array_equal(not_learned(faces, model).points, held_back.points)
    assert model.calibration is not None and np.isfinite(model.calibration.slopes).all()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c.npz", "run")
    checkpoint.save(0, 1, [np.arange(3.0)], [np.ones(2)], finished=False)
    whole = (tmp_path / "c.npz").read_bytes()
    (loaded,) = Checkpoint(tmp_path / "c.npz", "run").begin([np.zeros(3)])
    np.testing.assert_array_equal(loaded, np.arange(3.0))
    at = whole.index(np.arange(3.0).tobytes()) + 8
    damaged = whole[:at] + b"\x01" + whole[at + 1 :]
    for content in (damaged, whole[:-30], b"", b"text"):
        (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"c.npz: not a whole checkpoint \(.*\); delete it to begin anew"
        ):
            Checkpoint(tmp_path / "c.npz", "run").begin([np.zeros(3)])


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    Checkpoint(path, "one").save(0, 1, [np.zeros(3)], [np.zeros(2)], finished=False)
    with pytest.raises(ValueError, match="other settings or faces"):
        Checkpoint(path, "another").begin([np.ones(3)])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["--set", "neuron=3"], "neuron"),
        (["--set", "neurons=many"], "like 32"),
        (["--set", "windows=11"], "one entry for each scale"),
        (["--set", "windows=10,10,10,10"], "odd numbers"),
        (["--out", "nowhere/model.npz"], "folder that exists"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_sentence(run, tmp_path: Path, settings, sentence) -> None:
    outcome = run("train", tmp_path, "--out", tmp_path / "model.npz", *settings)
    assert outcome.status == 1
    assert sentence in outcome.err


def test_edge_terms_say_what_they_penalise() -> None:
    """On a map y: sums over pairs of (y_i - y_j)^2 of neighbours, and of (y_i + y_j)^2 of pixels apart."""
    window = 7
    similar, apart = edge_terms(window)
    rng = np.random.default_rng(0)
    y = rng.standard_normal((window, window))
    row, col = np.mgrid[:window, :window]
    expected = np.zeros(2)
    for i in range(window**2):
        for j in range(i):
            steps = max(abs(row.flat[i] - row.flat[j]), abs(col.flat[i] - col.flat[j]))
            expected[0] += (steps == 1) * (y.flat[i] - y.flat[j]) ** 2
            expected[1] += (4 <= steps <= 6) * (y.flat[i] + y.flat[j]) ** 2
    found = [y.ravel() @ terms @ y.ravel() for terms in (similar, apart)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_recipe_fits_what_it_trains() -> None:
    recipe = Recipe()
    config = recipe.fit_config()
    assert setting(config, "windows") == recipe.windows
    assert setting(config, "scales") == tuple(range(len(recipe.scales)))
    np.testing.assert_allclose(np.degrees(config.start_rotations)[:, 1], recipe.start_yaws, rtol=1e-5)
