"""jaxclnf: facial landmarks and head pose with Constrained Local Neural Fields, in JAX.

Start here: a `Model` holds a 3D point distribution model and CCNF patch experts; `FaceParams` say where a
face is and how it is bent; a `FitConfig` says how to search; a `FitResult` says what was found.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxclnf.batch.devices import fit_on_cores, fit_sharded
    from jaxclnf.batch.faces import fit_faces, fit_stream
    from jaxclnf.fitting.compiled import compile_fit
    from jaxclnf.fitting.fit import fit, fit_batch, fit_from, fit_settings
    from jaxclnf.fitting.gaze import gaze
    from jaxclnf.fitting.pose import landmarks
    from jaxclnf.fitting.validate import validate
    from jaxclnf.models.openface import convert_openface
    from jaxclnf.models.openface.validator import load_validator
    from jaxclnf.models.storage import load_model, save_model
    from jaxclnf.types import EyeGaze, FaceParams, FitConfig, FitResult, Model, Status, Validator

__all__ = [
    "EyeGaze",
    "FaceParams",
    "FitConfig",
    "FitResult",
    "Model",
    "Status",
    "Validator",
    "compile_fit",
    "convert_openface",
    "fit",
    "fit_batch",
    "fit_faces",
    "fit_from",
    "fit_on_cores",
    "fit_settings",
    "fit_sharded",
    "fit_stream",
    "gaze",
    "landmarks",
    "load_model",
    "load_validator",
    "save_model",
    "validate",
]

# Loaded when they are asked for: JAX takes a second, in which the command line already has to hear Ctrl-C.
_HOMES = {
    "batch.devices": ("fit_on_cores", "fit_sharded"),
    "batch.faces": ("fit_faces", "fit_stream"),
    "fitting.compiled": ("compile_fit",),
    "fitting.fit": ("fit", "fit_batch", "fit_from", "fit_settings"),
    "fitting.gaze": ("gaze",),
    "fitting.pose": ("landmarks",),
    "fitting.validate": ("validate",),
    "models.openface": ("convert_openface",),
    "models.openface.validator": ("load_validator",),
    "models.storage": ("load_model", "save_model"),
    "types": ("EyeGaze", "FaceParams", "FitConfig", "FitResult", "Model", "Status", "Validator"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(f"jaxclnf.{home}"), name)
            return globals()[name]
    raise AttributeError(f"module 'jaxclnf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
