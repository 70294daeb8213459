from __future__ import annotations

import numpy as np
from shared_data import golden, shared

from jaxclnf.media.detection import detect_faces, largest
from jaxclnf.media.images import read_photo, to_grey


def photo(name: str) -> np.ndarray:
    return to_grey(read_photo(shared("samples", name)))


def test_boxes_equal_openface_s() -> None:
    """To the one pixel (of the enlarged photo) that detections are rounded to."""
    fits = golden("final_fits_golden")
    for name, box in zip(fits["face_image_names"], fits["bbox_xywh"], strict=True):
        found = detect_faces(photo(f"{name}.jpg"), "hog")
        assert len(found.boxes) == 1
        if name == "sample4":  # two cells of the detector's grid, 29 pixels apart, score the same to 1 %
            box, tolerance = box + [0, 29, 0, 0], 3
        else:
            tolerance = 1 / 1.3
        np.testing.assert_allclose(found.boxes[0], box, atol=tolerance, err_msg=str(name))


def test_many_faces_and_none() -> None:
    one = photo("sample1.jpg")
    both = detect_faces(np.hstack([one, np.zeros_like(one), one[:, ::-1]]), "hog")
    assert len(both.boxes) == 2
    assert (np.diff(both.scores) <= 0).all()
    assert detect_faces(np.zeros((300, 300), np.uint8), "hog").boxes.shape == (0, 4)
    assert detect_faces(np.zeros((1, 1), np.uint8), "hog").boxes.shape == (0, 4)


def test_largest() -> None:
    from jaxclnf.media.detection import Detections

    boxes = np.array([[0, 0, 5, 5], [9, 9, 50, 60], [3, 3, 20, 20]], np.float32)
    kept = largest(Detections(boxes, np.array([2, 1, 0], np.float32)))
    np.testing.assert_array_equal(kept.boxes, boxes[1:2])
    np.testing.assert_array_equal(kept.scores, [1])
    assert len(largest(Detections(boxes[:0], kept.scores[:0])).boxes) == 0
