"""Trials for a calibration: boxes without faces and faces that lie in level boxes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from portrait_face import face_part

import jaxclnf
from jaxclnf.batch.box_rows import tight_box
from jaxclnf.data.datasets import read_faces
from jaxclnf.training.trials import N_DISTURBED, N_NOISES, noise, seen_large, trials


@pytest.mark.parametrize("seed", range(8))
def test_noise_has_a_box_large_enough_for_patches_inside_of_it(seed: int) -> None:
    picture, box = noise(np.random.default_rng(seed))
    assert picture.dtype == np.uint8 and picture.std() > 2
    assert 100 <= box[2] == box[3] <= 300
    assert (box[:2] > 0).all() and (box[:2] + box[2:] < picture.shape[::-1]).all()


@pytest.mark.parametrize("corner", [(20, 30), (0, 0), (150, 90)])
def test_a_box_seen_large_shows_what_it_did(corner: tuple[int, int]) -> None:
    down, right = np.mgrid[:150, :200]
    grey = (right + down / 2).astype(np.uint8)
    box = np.array([*corner, 48, 48], np.float32)
    large, there = seen_large(grey, box, np.random.default_rng(0))
    assert 100 <= there[2] == there[3] <= 300
    middle = there[:2] + there[2:] / 2
    expected = box[:2] + box[2:] / 2
    found = cv2.getRectSubPix(large.astype(np.float32), (1, 1), middle.tolist()).item()
    assert found == pytest.approx(expected @ [1, 0.5], abs=1.5)


def test_every_kind_of_trial_is_made_of_a_face(tmp_path: Path) -> None:
    """A face that lies has its points in a level box; where there is no face, there are no points."""
    model = jaxclnf.load_model()
    part, points = face_part(model, 240)
    cv2.imwrite(str(tmp_path / "0.png"), part[..., ::-1])
    np.savez(tmp_path / "points.npz", names=["0.png"], points=points[None], boxes=tight_box(points)[None])
    met = list(trials(read_faces([tmp_path]), pdm=model.pdm))
    kinds = Counter(trial.kind for trial in met)
    assert kinds["noise"] == N_NOISES and kinds["disturbed"] == N_DISTURBED
    assert all((t.points is None) == (t.kind in ("noise", "beside", "beside, enlarged")) for t in met)
    (lying,) = [trial for trial in met if trial.kind == "lying"]
    assert lying.points is not None and len(lying.box) == 4
    eyes = lying.points[42:48].mean(0) - lying.points[36:42].mean(0)
    assert eyes[0] < 0.3 * np.linalg.norm(eyes)  # on a side, or upside down
    inside = (lying.points > lying.box[:2] - 10) & (lying.points < lying.box[:2] + lying.box[2:] + 10)
    assert inside.all(axis=1).mean() > 0.7
