"""Fits compiled ahead of time, for programs that must not stop to compile at the first face."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxclnf.config import FitConfig
from jaxclnf.fitting.arguments import check_kinds
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.fitting.grey_range import check_brightness
from jaxclnf.types import FitResult, Model


def compile_fit(
    model: Model,
    n_faces: int,
    image_shape: tuple[int, int],
    config: FitConfig | None = None,
    image_dtype: DTypeLike = jnp.uint8,
) -> Callable[..., FitResult]:
    """Compile `jaxclnf.fit_batch` for batches of ``n_faces`` images of one shape (height, width) and dtype.

    Call the result with images (n_faces, height, width) and boxes (n_faces, 4), float32 or what the
    model computes in; other shapes, dtypes and numbers of arguments raise TypeError. ``config``, by default
    the model's, is part of it. If jax_compilation_cache_dir is set, a second process finds the program there.
    """
    check_kinds(model, config)
    images = jax.ShapeDtypeStruct((n_faces, *image_shape), image_dtype)
    boxes = jax.ShapeDtypeStruct((n_faces, 4), model.pdm.mean.dtype)
    model, config = jax.device_put((model, config))
    program = fit_batch.lower(model, images, boxes, config).compile()
    takes = signature(lambda images, boxes: None)

    def fitted(*args: Any, **kwargs: Any) -> FitResult:
        try:
            images, boxes = takes.bind(*args, **kwargs).args
        except TypeError as error:
            raise TypeError(
                f"a compiled fit takes images and boxes alone, model and settings are part of it: {error}"
            ) from None
        check_brightness(images)
        return program(model, images, boxes, config)

    return fitted
