"""jaxclnf: facial landmarks and head pose with Constrained Local Neural Fields, in JAX.

Start here: a `Model` holds a 3D point distribution model and experts, which see where landmarks are likely;
`FaceParams` say where a face is and how it is bent; a `FitConfig` says how to search; a `FitResult` says what
was found.

Fitting arrays needs jax, jaxlib, numpy and jaxtyping alone. What reads photos and finds faces in them is
imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxclnf.xla_flags import without_ynnpack

if TYPE_CHECKING:
    from jaxclnf.batch.devices import fit_on_cores, fit_sharded
    from jaxclnf.batch.many_faces import fit_faces, fit_stream
    from jaxclnf.config import FitConfig, Stage
    from jaxclnf.fitting.compiled import compile_fit
    from jaxclnf.fitting.face_params import landmarks
    from jaxclnf.fitting.fit import fit, fit_batch, fit_batch_from, fit_from, fit_settings
    from jaxclnf.fitting.gaze import gaze
    from jaxclnf.fitting.headpose import head_pose
    from jaxclnf.fitting.validate import validate
    from jaxclnf.media.detection import detect_faces
    from jaxclnf.media.images import read_photo, to_grey
    from jaxclnf.media.video_sources import open_video
    from jaxclnf.models.calibration import confidences
    from jaxclnf.models.changed_experts import with_sigma
    from jaxclnf.models.openface import convert_openface
    from jaxclnf.models.openface.validator_files import load_validator
    from jaxclnf.models.preset_settings import preset_settings
    from jaxclnf.models.storage import load_model, save_model
    from jaxclnf.ops.certainty import certain_radius
    from jaxclnf.output.one_photo import draw, fit_photo
    from jaxclnf.tracking.looks import wants_detections
    from jaxclnf.tracking.tracker import track_frame
    from jaxclnf.tracking.tracks import TrackConfig, Tracked, TrackerState
    from jaxclnf.types import (
        PDM,
        Camera,
        EyeGaze,
        FaceParams,
        FitResult,
        HeadPose,
        Model,
        PatchExperts,
        Status,
        Validator,
    )

__all__ = [
    "Camera",
    "EyeGaze",
    "FaceParams",
    "FitConfig",
    "FitResult",
    "HeadPose",
    "Model",
    "PDM",
    "PatchExperts",
    "Stage",
    "Status",
    "TrackConfig",
    "Tracked",
    "TrackerState",
    "Validator",
    "certain_radius",
    "compile_fit",
    "confidences",
    "convert_openface",
    "detect_faces",
    "draw",
    "fit",
    "fit_batch",
    "fit_batch_from",
    "fit_faces",
    "fit_from",
    "fit_on_cores",
    "fit_photo",
    "fit_settings",
    "fit_sharded",
    "fit_stream",
    "gaze",
    "head_pose",
    "landmarks",
    "load_model",
    "load_validator",
    "open_video",
    "preset_settings",
    "read_photo",
    "save_model",
    "to_grey",
    "track_frame",
    "validate",
    "wants_detections",
    "with_sigma",
]

without_ynnpack()

# Loaded when they are asked for: JAX takes a second, in which the command line already has to hear Ctrl-C.
_HOMES = {
    "batch.devices": ("fit_on_cores", "fit_sharded"),
    "batch.many_faces": ("fit_faces", "fit_stream"),
    "config": ("FitConfig", "Stage"),
    "fitting.compiled": ("compile_fit",),
    "fitting.fit": ("fit", "fit_batch", "fit_batch_from", "fit_from", "fit_settings"),
    "fitting.gaze": ("gaze",),
    "fitting.headpose": ("head_pose",),
    "fitting.face_params": ("landmarks",),
    "fitting.validate": ("validate",),
    "media.detection": ("detect_faces",),
    "media.images": ("read_photo", "to_grey"),
    "media.video_sources": ("open_video",),
    "models.calibration": ("confidences",),
    "models.changed_experts": ("with_sigma",),
    "models.openface": ("convert_openface",),
    "models.openface.validator_files": ("load_validator",),
    "models.preset_settings": ("preset_settings",),
    "models.storage": ("load_model", "save_model"),
    "ops.certainty": ("certain_radius",),
    "output.one_photo": ("draw", "fit_photo"),
    "tracking.looks": ("wants_detections",),
    "tracking.tracker": ("track_frame",),
    "tracking.tracks": ("TrackConfig", "Tracked", "TrackerState"),
    "types": (
        "PDM",
        "Camera",
        "EyeGaze",
        "FaceParams",
        "FitResult",
        "HeadPose",
        "Model",
        "PatchExperts",
        "Status",
        "Validator",
    ),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("jaxclnf")
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(f"jaxclnf.{home}"), name)
            return globals()[name]
    raise AttributeError(f"module 'jaxclnf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
