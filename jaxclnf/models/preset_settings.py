"""The settings that a preset's name stands for, which depend on the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxclnf.config import FitConfig
from jaxclnf.config.setting_names import part_names
from jaxclnf.fitting.arguments import check_kind
from jaxclnf.models.network_presets import has_cen, has_network, settings_for
from jaxclnf.models.openface import is_openfaces
from jaxclnf.types import EYES, Model

PRESETS = ("default", "best", "fast", "openface", "openface-wild", "openface2")
"""Names of the presets that a model may have."""


def preset_settings(
    model: Model,
    name: str,
    multi_view: bool = False,
    parts: Sequence[str] | None = None,
    gaze: bool = False,
) -> FitConfig:
    """Give the settings of one of `PRESETS` for a model.

    ``multi_view`` tries more start rotations: OpenFace's five, OpenFace 2's eleven, or those of the preset if
    it has more. OpenFace's presets fit these ``parts``, the eyes for ``gaze`` too; without names OpenFace 2's
    fit all that the model has. Raises ValueError for a preset that the model does not have.
    """
    check_kind("model", model, Model)
    _check(model, name, parts)
    named = [*(parts or ()), *(EYES if gaze else ())]
    if has_cen(model) or name == "openface2":
        fitted = [part.name for part in model.parts] if parts is None else named
        return FitConfig.openface2(multi_view, fitted, name == "openface-wild", cen=has_cen(model))
    match name:
        case "openface":
            return FitConfig.openface(multi_view, named)
        case "openface-wild":
            return FitConfig.openface_wild(multi_view, named)
        case "best" | "fast" if has_network(model):
            config = settings_for(model, name)
        case "best" if is_openfaces(model):
            config = FitConfig.best()
        case _:  # the best known settings of other models are their own
            config = model.settings
    return _with_more_starts(config) if multi_view else config


def named_as_used(model: Model, name: str) -> str:
    """Name a preset, and the one that a model has in its place if that is another."""
    if has_cen(model) and name in ("openface", "openface-wild"):
        return f"{name}, as openface2" + (" -wild" if name == "openface-wild" else "")
    if name == "best" and not has_network(model) and not is_openfaces(model):
        return f"{name}, as default"
    return name


def _check(model: Model, name: str, parts: Sequence[str] | None) -> None:
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r:.200}; presets are {', '.join(PRESETS)}")
    known = dict.fromkeys(("inner", *EYES, *(part.name for part in model.parts)))
    if unknown := [part for part in part_names(parts or ()) if part not in known]:
        raise ValueError(
            f"there are no settings for a part {unknown[0]!r:.200}; parts are {', '.join(known)}"
        )
    if name == "fast" and not has_network(model):
        raise ValueError(
            "the preset fast is for models with convolutional experts, as the one that ships; choose another"
        )
    if name == "best" and has_cen(model):
        raise ValueError("the preset best is not for CEN experts; leave it out, or choose openface2")


def _with_more_starts(config: FitConfig) -> FitConfig:
    starts = FitConfig.openface(multi_view=True).start_rotations
    return config if len(config.start_rotations) > len(starts) else replace(config, start_rotations=starts)
