"""What a user asks for: of every fit, of photos, of videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jaxclnf.commands import choices, messages
from jaxclnf.commands.options import Preset

if TYPE_CHECKING:
    from jaxclnf.config import FitConfig
    from jaxclnf.output.openface_table import OpenFaceTables
    from jaxclnf.tracking.smoothing import Smoothing
    from jaxclnf.types import Camera, Model, Validator


class Settled(NamedTuple):
    """A run's model, its settings, the validator of its fits, and OpenFace's tables if asked for."""

    model: Model
    config: FitConfig
    validator: Validator | None
    openface: OpenFaceTables | None


class FitAsked(NamedTuple):
    """What a user asks of every fit of a run, by the options that `fit` and `track` share."""

    model: str | None
    preset: Preset
    multi_view: bool
    parts: str | None
    settings: list[str] | None
    gaze: bool
    detector: str | None
    validator: str | None
    camera: str | None
    certainty: bool
    openface_columns: str | None

    def told(self) -> dict[str, Any]:
        """Describe what is asked for beside model and settings, by which a resumed run is recognised."""
        told = {"detector": self.chosen_detector(), "camera": self.camera}
        told |= choices.described_validator(self.validator)
        return told | ({"certainty": True} if self.certainty else {})

    def chosen_detector(self) -> str | None:
        """Name the detector that is asked for, or that goes with the preset; None for the default."""
        return choices.detector_name(self.detector, self.preset)

    def seen_by(self) -> Camera | None:
        """Parse the camera, if one is described; raises ValueError for a text that describes none."""
        return choices.camera(self.camera)

    def settled(self, of_video: bool = False) -> Settled:
        """Open the model and settle what fits the faces of photos, or of a video."""
        from jaxclnf.fitting.suited_settings import check_config, windows_on_networks

        model, several = choices.use_model(self.model), self.multi_view
        if of_video:  # OpenFace 2 tries all its starts wherever its detector finds a face in a video
            from jaxclnf.models.network_presets import has_cen

            several = several or self.preset == Preset.openface2 or has_cen(model)
        config = choices.asked_config(self.preset, several, self.parts, self.settings, model, self.gaze)
        check_config(model, config)
        if windows_on_networks(model, config):
            messages.warn(
                "these settings are for models of patch experts: this model's networks look at whole "
                "faces, not in windows, and its own settings (--preset default) fit better"
            )
        judge = choices.validator(self.validator, model, self.model)
        return Settled(model, config, judge, choices.openface_tables(self.openface_columns, model, config))


class PhotosAsked(NamedTuple):
    """The photos that a user asks for, the source of their boxes, and the files to write of each."""

    fits: FitAsked
    arguments: list[str]
    boxes: str | None  # where a table of them lies
    only_largest: bool
    pictures: bool
    crops: int
    margin: float


class VideosAsked(NamedTuple):
    """The videos that a user asks for, and the options for following faces in them."""

    fits: FitAsked
    arguments: list[str]
    max_faces: int
    fps: float | None
    frames: int | None
    smoothing: Smoothing | None
    pictures: bool
    format: str  # of tables on one machine, by which files are named
