"""What a user's options ask for: a model, settings, a detector, a validator, a camera, tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxclnf.commands.messages import warn
from jaxclnf.commands.options import OPENFACES, Preset

if TYPE_CHECKING:
    from jaxclnf.config import FitConfig
    from jaxclnf.output.openface_table import OpenFaceTables
    from jaxclnf.types import Camera, Model, Validator


def detector_name(name: str | None, preset: Preset) -> str | None:
    """Choose the detector that a user names, or that goes with OpenFace's presets; None: the default."""
    openfaces = preset in OPENFACES
    return "hog" if name is None and openfaces else name


def use_model(name: str | None) -> Model:
    """Open the model that a user names: a .npz, OpenFace's files, an installed one, or by default our own.

    Compiled programs are kept in the user's cache folder from here on.
    """
    from jaxclnf.models import opening

    _keep_compiled()
    return opening.open_model(name)


def _keep_compiled() -> None:
    """Have JAX keep compiled programs in our cache folder, unless the user names another."""
    import jax

    from jaxclnf import cache

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folder = cache.subfolder("compiled")
    for each in said:
        warn(str(each.message))
    if folder is not None and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def asked_config(
    preset: Preset,
    multi_view: bool,
    parts: str | None,
    settings: list[str] | None,
    model: Model,
    gaze: bool = False,
) -> FitConfig:
    """Make the settings that a user asks for, by default the model's.

    Raises ValueError for settings that there are not, and for a preset that the model does not have.
    """
    from jaxclnf.fitting.gaze import check_eyes
    from jaxclnf.fitting.suited_settings import unread_settings
    from jaxclnf.models.preset_settings import preset_settings

    part_names = _part_names(parts, model)
    if gaze:
        check_eyes(model)
    config = preset_settings(model, preset.value, multi_view, part_names, gaze)
    if part_names is not None and preset not in OPENFACES:
        config = replace(config, parts=_chosen_parts(config, part_names, preset))
    config = config.with_eyes() if gaze else config
    changes = dict(map(_parse, settings or ()))
    config = config.changed(changes) if changes else config
    warn_of_unread(unread_settings(model, config, changes))
    return config


def warn_of_unread(names: Iterable[str]) -> None:
    """Warn of settings that change nothing, if there are any."""
    if said := ", ".join(names):
        warn(f"without effect, as no stage of these fits reads it (docs/settings.md): {said}")


def openface_tables(release: str | None, model: Model, config: FitConfig) -> OpenFaceTables | None:
    """Make the writer of OpenFace's own tables, if they are asked for."""
    from jaxclnf.fitting.gaze import n_eye_points
    from jaxclnf.output.openface_table import OpenFaceTables, Release

    if release is None:
        return None
    sizes = model.pdm.n_points, model.pdm.n_modes, n_eye_points(model, config)
    return OpenFaceTables(Release(release), *sizes)


def validator(name: str | None, model: Model, model_name: str | None) -> Validator | None:
    """Load the validator that a user names: a file, or the one among OpenFace's models.

    By default it is the one of a model of CEN experts, for which there is no calibration.
    """
    from jaxclnf.models.install import installed_validator
    from jaxclnf.models.network_presets import has_cen
    from jaxclnf.models.openface.validator_files import N_POINTS, load_validator
    from jaxclnf.models.opening import own_validator

    if name is None:
        own = own_validator(model_name) if has_cen(model) else None
        return None if own is None else load_validator(own)
    if model.pdm.n_points != N_POINTS:
        raise ValueError(
            f"--validator {name}: it judges {N_POINTS} landmarks, the model has {model.pdm.n_points}"
        )
    return load_validator(installed_validator() if name == "openface2" and not Path(name).exists() else name)


def described_validator(name: str | None) -> dict[str, str]:
    """Describe the validator of a run, by which a resumed run is recognised."""
    return {} if name is None else {"validator": name}


def _part_names(text: str | None, model: Model) -> list[str] | None:
    """Split the parts that a user names; None if none are named."""
    if text is None:
        return None
    names = [] if text == "none" else text.split(",")
    known = [part.name for part in model.parts]
    for name in names:
        if name not in known:
            having = f"its parts are {', '.join(known)}" if known else "it is of the whole face alone"
            raise ValueError(f"--parts {text}: the model has no part {name!r}; {having}")
    return names


def _chosen_parts(config: FitConfig, names: list[str], preset: Preset) -> dict[str, FitConfig]:
    for name in names:
        if name not in config.parts:
            raise ValueError(
                f"--parts {name}: the preset {preset} has no settings for it, --preset openface has"
            )
    return {name: config.parts[name] for name in names}


def _parse(setting: str) -> tuple[str, Any]:
    """Parse a setting's name and value."""
    from jaxclnf.config import from_text

    name, sign, text = setting.partition("=")
    try:
        if not sign:
            raise ValueError("expected NAME=VALUE")
        return name, from_text(name, text)
    except ValueError as error:
        raise ValueError(f"--set {setting}: {error}") from None


def run_description(model: Model, config: FitConfig) -> dict:
    """Describe a model and its settings for JSON, by which a resumed run is recognised."""
    from jaxclnf.models.fingerprint import fingerprint

    return {"model": model.provenance.name, "model_hash": fingerprint(model), **config.described()}


def base_folder(names: Iterable[str | Path]) -> str:
    """Give the folder from which relative names of files count; empty if none is relative."""
    from jaxclnf.media.addresses import here, is_address

    relative = [each for each in map(str, names) if not is_address(each) and not os.path.isabs(here(each))]
    return os.getcwd() if relative else ""


def camera(text: str | None) -> Camera | None:
    """Parse the camera that a user describes, if any."""
    if text is None:
        return None
    from jax.numpy import float32

    from jaxclnf.types import Camera

    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--camera {text}: expected four numbers, fx,fy,cx,cy in pixels") from None
    if not (0 < fx < 1e6 and 0 < fy < 1e6):
        raise ValueError(f"--camera {text}: expected focal lengths fx,fy above 0 and below 1,000,000 pixels")
    if not (abs(cx) < 1e6 and abs(cy) < 1e6):
        raise ValueError(f"--camera {text}: expected a middle cx,cy less than 1,000,000 pixels from 0,0")
    return Camera(float32(fx), float32(fy), float32(cx), float32(cy))
