"""The nouns of the package: models, face parameters and results, all JAX PyTrees.

Sizes used in the annotations: ``n_points`` landmarks, ``n_modes`` shape modes, ``n_views`` views,
``n_neurons`` neurons of a patch expert, ``n_edges`` edge terms, ``n_stages`` stages of a fit.
"""

from jaxclnf.config.presets import EYES
from jaxclnf.types.experts import (
    CENExperts,
    ConvExperts,
    ConvLayer,
    ConvLevel,
    ConvNetwork,
    Experts,
    PatchExperts,
)
from jaxclnf.types.model import (
    PDM,
    Calibration,
    EarlyTermination,
    Model,
    Part,
    Provenance,
    Visibility,
    check_dtype,
)
from jaxclnf.types.result import (
    STATUS_WORDS,
    USABLE,
    USABLE_WORDS,
    FaceParams,
    FitResult,
    PartFit,
    Status,
)
from jaxclnf.types.space import Camera, EyeGaze, HeadPose
from jaxclnf.types.validator import Validation, Validator

__all__ = [
    "EYES",
    "PDM",
    "STATUS_WORDS",
    "USABLE",
    "USABLE_WORDS",
    "CENExperts",
    "Calibration",
    "Camera",
    "ConvExperts",
    "ConvLayer",
    "ConvLevel",
    "ConvNetwork",
    "EarlyTermination",
    "Experts",
    "EyeGaze",
    "FaceParams",
    "FitResult",
    "HeadPose",
    "Model",
    "Part",
    "PartFit",
    "PatchExperts",
    "Provenance",
    "Status",
    "Validation",
    "Validator",
    "Visibility",
    "check_dtype",
]
