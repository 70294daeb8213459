"""What a run says at its end of the photos that it fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxclnf.commands import common

if TYPE_CHECKING:
    from jaxclnf.output.photo_pipeline import Photo


class SaidOfPhotos:
    """Counts of the faces that were fitted on photos, and of the boxes in which none could be."""

    def __init__(self) -> None:
        self._n_fitted: list[int] = []  # on each photo
        self._n_without = 0

    def add(self, photo: Photo) -> None:
        """Count a photo's faces."""
        from jaxclnf.types import usable

        n_fitted = sum(usable(int(face.result.status)) for face in photo.faces)
        self._n_fitted.append(n_fitted)
        self._n_without += len(photo.faces) - n_fitted

    def faces(self, n_done: int) -> str:
        """Say how many faces were fitted, and how many photos have none; nothing of those done before."""
        n_photos, none = len(self._n_fitted), self._n_fitted.count(0)
        now = f" on the {n_photos:,} done now" if n_done else ""
        boxes = common.counted(self._n_without, "box", "boxes")
        unfit = f"; {boxes} could not be fitted, see the status" if self._n_without else ""
        if none == n_photos:
            return f"no face{now}{unfit}" if n_photos else ""
        without = f", none on {common.counted(none, 'photo')}" if none else ""
        return f"{common.counted(sum(self._n_fitted), 'face')}{now}{without}{unfit}"
