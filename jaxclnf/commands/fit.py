"""``jaxclnf fit``: landmarks on photos."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from jaxclnf.commands import common

if TYPE_CHECKING:
    from jaxclnf.media.inputs import Failure
    from jaxclnf.output.openface_table import Release
    from jaxclnf.output.photos import Photo
    from jaxclnf.types import Model


class Faces(StrEnum):
    """Of those the detector finds."""

    all = "all"
    largest = "largest"


def fit(
    photos: Annotated[list[str], typer.Argument(help="Photos, folders, patterns, .txt lists of files.")],
    model: common.ModelOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for table and pictures.")] = Path("out"),
    boxes: Annotated[Path | None, typer.Option(help="Own boxes: CSV file,x,y,w,h or JSON.")] = None,
    faces: Annotated[Faces, typer.Option(help="Which of the faces found.")] = Faces.all,
    detector: common.DetectorOption = None,
    preset: common.PresetOption = common.Preset.default,
    multi_view: common.MultiViewOption = False,
    parts: common.PartsOption = None,
    set_: common.SetOption = None,
    gaze: common.GazeOption = False,
    camera: common.CameraOption = None,
    format: common.FormatOption = common.Format.csv,
    openface_columns: common.OpenFaceOption = None,
    pictures: Annotated[bool, typer.Option(help="Draw the landmarks on each photo.")] = True,
    crops: Annotated[int, typer.Option(min=0, max=4096, help="Cut faces out, of so many pixels.")] = 0,
    margin: Annotated[float, typer.Option(min=0, max=5, help="Around the face in crops.")] = 0.3,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that broke off.")] = False,
) -> None:
    """Find faces and their landmarks on photos: one table, and a picture a photo."""
    from jaxclnf.batch.pipeline import ahead
    from jaxclnf.fitting.gaze import n_eye_points
    from jaxclnf.media.inputs import Failure, boxes_of, boxes_without_photo, find_photos, read_boxes
    from jaxclnf.output.openface_table import Release
    from jaxclnf.output.photos import detected, fit_photos
    from jaxclnf.output.pictures import output_names
    from jaxclnf.output.report import report_photos
    from jaxclnf.output.runs import Table, make_folder, write_failures
    from jaxclnf.output.tables import columns

    chosen = common.detector_name(detector, preset)
    box_source, failures = detected(faces is Faces.largest, chosen), []
    if boxes:
        own = read_boxes(boxes)
        failures += boxes_without_photo(own, boxes)
        box_source = partial(boxes_of, boxes=own, table=boxes)
    make_folder(out)
    found, unusable = find_photos(photos, leave_out=out)
    failures += unusable
    engine = common.open_model(model)
    config = common.fit_config(preset, multi_view, parts, set_, engine, gaze)
    eye_points = n_eye_points(engine) if gaze else 0
    names = columns(engine.pdm.n_points, engine.pdm.n_modes, n_eye_points=eye_points)
    told = {"boxes": str(boxes), "faces": faces, "detector": chosen, "camera": camera}
    told |= common.description(engine, config)
    table = Table(out / f"landmarks.{format}", names, "source", told, resume)
    todo = [path for path in found if str(path) not in table.done]
    stems = output_names(map(str, found))
    draw = partial(_draw, out=out, names=stems, pictures=pictures, crops=crops, margin=margin, model=engine)
    also = partial(_openface, out=out / "openface", names=stems, model=engine, gaze=gaze)
    try:
        with common.progress("photos") as bar:
            task = bar.add_task("fitting", total=len(found), completed=len(found) - len(todo))
            for photo in ahead(draw, fit_photos(engine, todo, box_source, config, common.camera(camera))):
                if isinstance(photo, Failure):
                    failures.append(photo)
                else:
                    table.add(_rows(names, photo))
                    if openface_columns:
                        also(photo, release=Release(openface_columns))
                bar.advance(task)
        table.finish()
    except KeyboardInterrupt:
        typer.echo(f"jaxclnf: stopped; {table.unfinished} holds what is done, --resume goes on", err=True)
        raise typer.Exit(130) from None
    finally:
        table.close()
    write_failures(out / "failures.csv", failures)
    if report:
        shown = {source: out / f"{stem}.png" for source, stem in stems.items()}
        report_photos(out / "report.html", table.path, shown, failures)
    n_read = len(found) - len(failures)
    typer.echo(f"{table.path}: {n_read} photo{'s' if n_read != 1 else ''}")
    common.report_failures(failures)


def _draw(
    photo: Photo | Failure,
    out: Path,
    names: dict[str, str],
    pictures: bool,
    crops: int,
    margin: float,
    model: Model,
) -> Photo | Failure:
    """Write a photo's pictures; returns the photo."""
    from jaxclnf.output.photos import Photo
    from jaxclnf.output.pictures import overlay, save_crops, save_picture

    if isinstance(photo, Photo):
        name = names[str(photo.path)]
        if pictures:
            save_picture(out / f"{name}.png", overlay(photo))
        if crops:
            save_crops(out / "crops", name, photo, np.asarray(model.pdm.mean), crops, margin)
    return photo


def _openface(
    photo: Photo, out: Path, names: dict[str, str], model: Model, gaze: bool, release: Release
) -> None:
    """Write a photo's table as OpenFace does."""
    from jaxclnf.fitting.gaze import n_eye_points
    from jaxclnf.output.openface_table import header, write_photo

    eye_points = n_eye_points(model) if gaze else 0
    first = header(model.pdm.n_points, model.pdm.n_modes, video=False, n_eye_points=eye_points)
    write_photo(out / f"{names[str(photo.path)]}.csv", first, photo.faces, release)


def _rows(names: list[str], photo: Photo) -> list[list[str]]:
    from jaxclnf.output.tables import empty_row, photo_row

    source = str(photo.path)
    return [photo_row(source, i, face) for i, face in enumerate(photo.faces)] or [empty_row(names, source)]
