"""jaxclnf: facial landmarks and head pose with Constrained Local Neural Fields, in JAX.

Start here: a `Model` holds a 3D point distribution model and CCNF patch experts; `FaceParams` say where a
face is and how it is bent; a `FitConfig` says how to search; a `FitResult` says what was found.
"""

from jaxclnf.batch.devices import fit_on_cores, fit_sharded
from jaxclnf.batch.faces import fit_faces, fit_stream
from jaxclnf.fitting.compiled import compile_fit
from jaxclnf.fitting.fit import fit, fit_batch, fit_from, fit_settings
from jaxclnf.fitting.pose import landmarks
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.types import FaceParams, FitConfig, FitResult, Model, Status

__all__ = [
    "FaceParams",
    "FitConfig",
    "FitResult",
    "Model",
    "Status",
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
    "landmarks",
    "load_model",
    "save_model",
]
