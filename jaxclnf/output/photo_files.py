"""The pictures of a run on photos: each photo with its landmarks drawn, and its faces cut out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclnf.media.failures import Failure, failed
from jaxclnf.output.csv_cells import path_cell
from jaxclnf.output.openface_table import OpenFaceTables
from jaxclnf.output.overlays import overlay, save_crops, save_picture
from jaxclnf.output.photo_pipeline import Photo
from jaxclnf.output.run_folder import OutputFolder
from jaxclnf.types import USABLE_WORDS, Model

CROPS, OPENFACE = "crops", "openface"
"""Folders of an output folder."""


class Folders(NamedTuple):
    """The folders that take a photo's files, by kind."""

    pictures: Path
    crops: Path
    openface: Path


class Extras(NamedTuple):
    """The files that a run writes of each photo; with ``crops`` of 0 pixels no faces are cut out."""

    pictures: bool = False
    crops: int = 0
    margin: float = 0.3
    openface: OpenFaceTables | None = None

    @property
    def endings(self) -> list[str]:
        """The endings of a photo's files; none if no files are written."""
        return [".png"] if self.pictures or self.crops or self.openface else []

    @property
    def longest(self) -> str:
        """The longest ending that a crop can have."""
        return "_99999.png" if self.crops else ""

    def described(self) -> dict[str, Any]:
        """Describe the files for JSON, by which a resumed run is recognised."""
        release = self.openface.release if self.openface else None
        margin = self.margin if self.crops else None
        return {"pictures": self.pictures, "crops": self.crops, "margin": margin, OPENFACE: release}

    def write(self, photo: Photo, source: str, stem: str, mean: np.ndarray, to: Folders) -> Failure | None:
        """Write the files of the photo ``source``; returns the failure, if there is one."""
        try:
            self._write(photo, stem, mean, to)
        except Exception as error:  # which costs no row of the table
            return failed(f"{source}: its picture", error)._replace(source=source)

    def _write(self, photo: Photo, stem: str, mean: np.ndarray, to: Folders) -> None:
        if self.pictures:
            save_picture(to.pictures / f"{stem}.png", overlay(photo))
        if self.openface:
            self.openface.write_photo(to.openface / f"{stem}.csv", photo.faces)
        if self.crops:
            save_crops(to.crops, stem, photo, mean, self.crops, self.margin)


class PhotoFiles:
    """Names of each photo's files in an output folder, and their writing."""

    def __init__(self, folder: OutputFolder, photos: Sequence[Path], model: Model, extras: Extras) -> None:
        self._extras, self._mean = extras, np.asarray(model.pdm.mean)
        self._folders = Folders(
            folder.path,
            folder.claim_folder(CROPS) if extras.crops else folder.path,
            folder.claim_folder(OPENFACE) if extras.openface else folder.path,
        )
        self._stems = {
            str(path): folder.stem(str(path), path.stem or "out", extras.endings, extras.longest)
            for path in photos
            if extras.endings
        }
        self._older_crops = _numbered_files(self._folders.crops) if extras.crops else {}
        self._of_no_row: list[Path] = []  # what an earlier run wrote of photos that failed now

    def picture(self, source: str) -> Path | None:
        """Give the path of a photo's picture, written or not; None if the run draws none."""
        return self._folders.pictures / f"{self._stems[source]}.png" if self._extras.pictures else None

    def lacks(self, cell: str, face: str, status: str) -> bool:
        """Tell whether a row's photo has not the picture, the crop or OpenFace's table that the run writes.

        The row is that of a face, by its number and the words of its status; ``cell`` names its photo.
        """
        stem = self._stems_by_cell.get(cell)
        if stem is None:  # of a photo that the run was not asked for, or no files at all
            return False
        pictures = [self._folders.pictures / f"{stem}.png"] if self._extras.pictures else []
        tables = [self._folders.openface / f"{stem}.csv"] if self._extras.openface else []
        is_cut_out = self._extras.crops and status in USABLE_WORDS
        crops = [self._folders.crops / f"{stem}_{face}.png"] if is_cut_out else []
        return not all(path.exists() for path in (*pictures, *tables, *crops))

    @cached_property
    def _stems_by_cell(self) -> dict[str, str]:
        return {path_cell(source): stem for source, stem in self._stems.items()}

    def write(self, photo: Photo | Failure) -> tuple[Photo | Failure, Failure | None]:
        """Write a photo's files; returns the photo with any failure, which costs no row of the table.

        Crops that an earlier run cut out of the photo go. What it wrote of one that failed stays until
        `discard_failed`, since a table that is not replaced names it.
        """
        source = photo.source if isinstance(photo, Failure) else str(photo.path)
        stem = self._stems.get(source)
        if stem is None:
            return photo, None
        if not isinstance(photo, Failure):
            _remove(*self._older_crops.get(stem, ()))
            return photo, self._extras.write(photo, source, stem, self._mean, self._folders)
        if os.path.isfile(source):
            tables = [self._folders.openface / f"{stem}.csv"] if self._extras.openface else []
            crops = self._older_crops.get(stem, ())
            self._of_no_row += [self._folders.pictures / f"{stem}.png", *tables, *crops]
        return photo, None

    def discard_failed(self) -> None:
        """Remove what an earlier run, whose table is replaced, wrote of photos that are there but failed."""
        _remove(*self._of_no_row)


def _remove(*paths: Path) -> None:
    for path in paths:
        with suppress(OSError):  # where files cannot be removed no new ones can be written, which is told
            path.unlink()


def _numbered_files(folder: Path) -> dict[str, list[Path]]:
    """List the pictures in a folder whose names end with a number, by what comes before it."""
    found = defaultdict(list)
    for path in folder.glob("*.png"):
        name, line, number = path.stem.rpartition("_")
        if line and number.isdecimal():
            found[name].append(path)
    return found
