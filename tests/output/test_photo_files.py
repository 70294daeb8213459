"""The files of photos in a folder that an earlier run wrote to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from engine import synthetic_model

from jaxclnf.media.failures import Failure
from jaxclnf.output.photo_files import Extras, PhotoFiles
from jaxclnf.output.photo_pipeline import Photo
from jaxclnf.output.run_folder import OutputFolder
from jaxclnf.types import Camera


def begun(folder: OutputFolder, photos: list[Path]) -> PhotoFiles:
    """The files of a run that draws pictures and cuts faces out."""
    files = PhotoFiles(folder, photos, synthetic_model(np.float32), Extras(pictures=True, crops=32))
    folder.save()
    return files


def names(folder: Path) -> set[str]:
    """The pictures in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


def test_what_an_earlier_run_wrote_goes_with_its_table_unless_the_photo_is_gone(tmp_path: Path) -> None:
    faceless, broken, gone = photos = [tmp_path / f"{name}.jpg" for name in ("faceless", "broken", "gone")]
    broken.touch()
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        begun(folder, photos)
    strangers = ["crops/broken_best.png", "crops/broken.png"]
    for name in ["broken.png", "gone.png", *strangers]:
        (out / name).touch()
    for name in ("faceless_0", "faceless_1", "broken_0", "gone_0"):
        (out / f"crops/{name}.png").touch()
    with OutputFolder(out) as folder:
        files = begun(folder, photos)
        rgb = np.zeros((40, 40, 3), np.uint8)
        files.write(Photo(faceless, rgb, Camera.default(40, 40), np.zeros((0, 4), np.float32)))
        for path in (broken, gone):
            files.write(Failure(str(path), f"{path} cannot be read"))
        stay = {"faceless.png", "gone.png", "crops/gone_0.png", *strangers}
        assert names(out) == {*stay, "broken.png", "crops/broken_0.png"}  # beside the table, if it stays
        files.discard_failed()
    assert names(out) == stay
