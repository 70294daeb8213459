"""Whether settings suit a model: its landmarks and modes, its experts, the networks among them, its parts."""

from collections.abc import Iterable

import numpy as np

from jaxclnf.config import FitConfig
from jaxclnf.types import ConvExperts, Model


def check_config(model: Model, config: FitConfig) -> None:
    """Raise ValueError for settings of other numbers of landmarks or modes, or other experts or scales.

    Those of the model's parts are looked at, too.
    """
    _check_sizes(model, config)
    _check_stages(model, config)
    for part in model.parts:
        if part.name in config.parts:
            try:
                check_config(part.model, config.parts[part.name])
            except ValueError as error:
                raise ValueError(f"the settings of part {part.name}: {error}") from None


def _check_sizes(model: Model, config: FitConfig) -> None:
    """Raise ValueError for settings with other numbers of values than the model has landmarks or modes."""
    for name, n in (("landmark_weights", model.pdm.n_points), ("mode_stiffness", model.pdm.n_modes)):
        if np.size(getattr(config, name)) not in (1, n):
            raise ValueError(
                f"expected one value of {name}, or {n} for the model's; got {np.size(getattr(config, name))}"
            )


def _check_stages(model: Model, config: FitConfig) -> None:
    """Raise ValueError for stages that their experts cannot do, and for none."""
    if model.experts and not model.stages_of(config):
        scales, last = [stage.scale for stage in config.stages], len(model.experts) - 1
        raise ValueError(f"scales = {scales}, expected one of the model's among them, 0 to {last}")
    for i, stage, experts in model.stages_of(config):
        if isinstance(experts, ConvExperts):
            if stage.mirrored and not experts.mirror:
                raise ValueError(
                    f"stage {i} looks at mirrored pictures, but the model does not know which landmarks the "
                    f"network of scale {stage.scale} sees in them: expected mirrored = False"
                )
        elif stage.window is None:
            raise ValueError(
                f"stage {i} has no window, but scale {stage.scale} of the model has patch experts: expected "
                "the side of their response maps in pixels"
            )


def windows_on_networks(model: Model, config: FitConfig) -> bool:
    """Tell whether settings are for patch experts where the model has networks, which ignore windows."""
    stages = model.stages_of(config)
    return any(stage.window is not None and isinstance(experts, ConvExperts) for _, stage, experts in stages)


def unread_settings(model: Model, config: FitConfig, names: Iterable[str]) -> list[str]:
    """List those of some settings of stages, by name, that none of their stages with this model reads."""
    looks = {i: isinstance(experts, ConvExperts) for i, _, experts in model.stages_of(config)}

    def is_read(name: str, stage: int) -> bool:
        if name == "sigma":  # a network tells places, not maps to climb
            return not looks[stage]
        if name in ("mirrored", "looks"):
            return looks[stage]
        return name != "anchor" or any(looks[i] for i in looks if i < stage)

    def is_unread(setting: str) -> bool:
        name, _, number = setting.partition(".")
        return not any(is_read(name, i) for i in looks if number in ("", str(i)))

    stages = "sigma", "mirrored", "looks", "anchor"
    return [name for name in names if name.partition(".")[0] in stages and is_unread(name)]
