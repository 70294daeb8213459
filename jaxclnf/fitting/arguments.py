"""What a caller gives to a fit: images, boxes and parameters checked, model and settings in one precision."""

from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxclnf.cache import no_array
from jaxclnf.config import FitConfig
from jaxclnf.fitting.grey_range import check_brightness, is_real
from jaxclnf.fitting.suited_settings import check_config
from jaxclnf.types import PDM, Camera, FaceParams, Model

_SOURCES = {
    "model": "jaxclnf.load_model() gives one",
    "config": "jaxclnf.FitConfig() makes one, and jaxclnf.preset_settings gives those of a preset",
    "result": "jaxclnf.fit and its like give a FitResult",
    "validator": "jaxclnf.load_validator gives one",
    "camera": "jaxclnf.Camera makes one",
}


def check_fit(model: object, images: object, start: object, config: object) -> None:
    """Raise ValueError for arguments of a fit that are of another kind, or grey of another range."""
    check_kinds(model, config)
    for name, value in (("images", images), ("boxes", start)):
        if value is None or isinstance(value, dict) or hasattr(value, "_fields"):
            hint = ", whose boxes are one" if hasattr(value, "boxes") else ""  # of a detector
            raise ValueError(f"expected arrays of numbers for {name}; got {type(value).__name__}{hint}")
        if isinstance(value, list | tuple) and _holds_none(value):
            raise ValueError(f"expected arrays of numbers for {name}; got a {type(value).__name__} with None")
    check_brightness(images)


def _holds_none(rows: list | tuple) -> bool:
    return any(leaf is None for leaf in jax.tree.leaves(rows, is_leaf=lambda leaf: leaf is None))


def check_kinds(model: object, config: object) -> None:
    """Raise ValueError for a model or settings that are something else."""
    check_kind("model", model, Model)
    check_kind("config", config, FitConfig | None)


def check_kind(name: str, value: object, expected: Any) -> None:
    """Raise ValueError for an argument of another type than is expected of its name."""
    if not isinstance(value, expected):
        raise ValueError(f"the {name} is of type {type(value).__name__}; {_SOURCES[name]}")


def pdm_of(model: Model | PDM) -> PDM:
    """Give the PDM of a model, or the one that is given; raises ValueError for anything else."""
    if not isinstance(model, PDM):
        check_kinds(model, None)
    return model.pdm if isinstance(model, Model) else model


def check_batch(images, boxes) -> None:
    """Raise ValueError for images and boxes that do not fit each other."""
    if images.ndim not in (2, 3) or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"expected images (n, height, width) or one image (height, width) and boxes (n, 4); "
            f"got images {images.shape} and boxes {boxes.shape}{of_rgb(images)}"
        )
    check_images(images, images.ndim)
    if not is_real(boxes.dtype):
        raise ValueError(f"expected boxes of real numbers; got them of {boxes.dtype}")
    if images.ndim == 3 and len(images) != len(boxes):
        found = f"{len(images)} images and {len(boxes)} boxes{of_rgb(images)}"
        raise ValueError(f"expected one box an image; got {found}")


def of_rgb(images) -> str:
    """Say, at the end of a sentence, what to do with images that seem to be RGB."""
    is_rgb = images.ndim >= 3 and images.shape[-1] == 3
    return "; jaxclnf.to_grey makes grey images of RGB" if is_rgb else ""


def check_images(images, ndim: int) -> None:
    """Raise ValueError for images of another number of axes than ``ndim``, no pixels, no real values."""
    if not hasattr(images, "dtype"):
        raise ValueError(f"expected arrays of grey images; got {type(images).__name__}")
    if not is_real(images.dtype):
        raise ValueError(f"expected grey images of real numbers; got them of {images.dtype}")
    if images.ndim != ndim or 0 in images.shape[-2:]:
        raise ValueError(
            "expected grey images (height, width) that have pixels; "
            f"got an array of shape {images.shape}{of_rgb(images)}"
        )


def check_params(model: Model | PDM, params: object) -> None:
    """Raise ValueError for what are no parameters of faces, or ones of another model."""
    n_modes = pdm_of(model).n_modes
    if not isinstance(params, FaceParams):
        raise ValueError(f"expected FaceParams, such as a FitResult's params; got {type(params).__name__}")
    _check_numbers("params", params)
    batch = np.shape(params.scale)
    for name, expected in (("rotation", 3), ("translation", 2), ("shape", n_modes)):
        found = np.shape(getattr(params, name))
        if found != (*batch, expected):
            whose = f" of the model's {n_modes} modes" if name == "shape" else ""
            raise ValueError(f"expected params.{name}{whose}, {(*batch, expected)}; got {found}")


def check_camera(camera: object, faces: FaceParams) -> None:
    """Raise ValueError for what is no camera, or neither one for all faces nor one for each."""
    check_kind("camera", camera, Camera)
    _check_numbers("camera", camera)
    batch = np.shape(faces.scale)
    found = {f.name: np.shape(getattr(camera, f.name)) for f in fields(Camera)}
    if set(found.values()) not in ({()}, {batch}):
        shapes = ", ".join(f"{name} {shape}" for name, shape in found.items())
        raise ValueError(f"expected one camera, or one for each face; got {shapes} and faces of {batch}")


def _check_numbers(name: str, value: Any) -> None:
    """Raise ValueError for fields that are no arrays of numbers, as lists."""
    for each in fields(value):
        if problem := no_array(getattr(value, each.name)):
            raise ValueError(f"{name}.{each.name} holds {problem}, expected an array of real numbers")


def check_one_start_an_image(images, params: FaceParams) -> None:
    """Raise ValueError for images and parameters that are not of equally many faces."""
    if images.ndim != 3 or np.shape(params.scale) != images.shape[:1]:
        found = f"images {images.shape} and params.scale {np.shape(params.scale)}{of_rgb(images)}"
        raise ValueError(f"expected images (n, height, width) and params.scale (n,); got {found}")
    check_images(images, 3)


def in_one_array(rows) -> Array:
    """Convert images or boxes, maybe given one by one, to an array; raises ValueError for unlike shapes."""
    check_one_shape(rows)
    return jnp.asarray(rows)


def on_host(rows):
    """Do as `in_one_array`, with an array of NumPy's; one of JAX's stays as it is."""
    check_one_shape(rows)
    return rows if isinstance(rows, jax.Array) else np.asarray(rows)


def check_one_shape(rows) -> None:
    """Raise ValueError for images or boxes, given one by one, of unlike shapes."""
    shapes = {np.shape(row): None for row in rows} if isinstance(rows, list | tuple) else {}
    if len(shapes) > 1:
        found = ", ".join(map(str, shapes))
        raise ValueError(
            f"expected arrays of one shape; got {found:.200}; fit_faces takes photos of any sizes"
        )


def in_one_dtype(model: Model, config: FitConfig | None) -> tuple[Model, FitConfig]:
    """Convert model and settings, by default its own, to the precision of its mean shape."""
    config, dtype = model.settings if config is None else config, model.pdm.mean.dtype
    check_config(model, config)

    def converted(a):
        number = jnp.issubdtype(a.dtype, jnp.number)
        return a.astype(dtype if jnp.issubdtype(a.dtype, jnp.floating) else jnp.int32) if number else a

    return jax.tree.map(converted, model), jax.tree.map(lambda a: jnp.asarray(a, dtype), config)
