"""The pictures of a run on photos: each photo with its landmarks drawn, and its faces cut out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxclnf.media.inputs import Failure, failed
from jaxclnf.output.folder import OutputFolder
from jaxclnf.output.openface_table import OpenFaceTables
from jaxclnf.output.photos import Photo
from jaxclnf.output.pictures import overlay, save_crops, save_picture
from jaxclnf.types import Model


class PhotoFiles:
    """Names of each photo's pictures, and their writing; with ``crops`` of 0 pixels no faces are cut out."""

    def __init__(
        self,
        folder: OutputFolder,
        photos: Sequence[Path],
        model: Model,
        pictures: bool,
        crops: int,
        margin: float,
        openface: OpenFaceTables | None = None,
    ) -> None:
        self._folder, self._mean = folder.path, np.asarray(model.pdm.mean)
        self._crops, self._margin = crops, margin
        self._crop_folder = folder.claim_folder("crops") if crops else None
        self._openface = openface
        self._openface_folder = folder.claim_folder("openface") if openface else None
        endings = [".png"] if pictures or crops or openface else []
        crop_room = "_99999.png" if crops else ""
        self._stems = {
            str(path): folder.stem(str(path), path.stem or "out", endings, crop_room)
            for path in photos
            if endings
        }
        self._pictures = pictures

    def picture(self, source: str) -> Path | None:
        """Give the path of a photo's picture, written or not; None if the run draws none."""
        return self._folder / f"{self._stems[source]}.png" if self._pictures else None

    def write(self, photo: Photo | Failure) -> tuple[Photo | Failure, Failure | None]:
        """Write a photo's pictures; returns the photo with any failures, which cost no row of the table."""
        if isinstance(photo, Photo):
            try:
                self._write(photo, self._stems.get(str(photo.path), ""))
            except Exception as error:
                return photo, failed(f"{photo.path}: its picture", error)._replace(source=str(photo.path))
        return photo, None

    def _write(self, photo: Photo, stem: str) -> None:
        if self._pictures:
            save_picture(self._folder / f"{stem}.png", overlay(photo))
        if self._openface and self._openface_folder:
            self._openface.write_photo(self._openface_folder / f"{stem}.csv", photo.faces)
        if self._crop_folder:
            save_crops(self._crop_folder, stem, photo, self._mean, self._crops, self._margin)
