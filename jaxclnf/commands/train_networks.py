"""The part of ``jaxclnf train`` that teaches networks, new ones and those of a model further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.commands.train_run import TrainRun

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.conv.network_recipe import ConvRecipe
    from jaxclnf.types import ConvExperts, Model

_SIZES = "side", "reach", "stem", "channels", "blocks"
"""The settings of a recipe by which its network is known among those of a model."""


def check_markup(faces: Faces, networks: dict[str, ConvRecipe]) -> None:
    """Raise ValueError, before hours of work, for a markup from which networks cannot learn."""
    if networks:
        from jaxclnf.training.conv.training_run import checked_mirror

        checked_mirror(faces, networks)


def with_networks(model: Model, run: TrainRun) -> Model:
    """Combine the finest patch experts with new networks, and the settings for both."""
    from jaxclnf.models.network_presets import settings_for

    networks = _trained(model, run, {})
    model = replace(model, experts=(model.experts[-1], *networks))
    return replace(model, settings=settings_for(model, "default"))


def networks_further(model: Model, run: TrainRun) -> Model:
    """Teach those networks of a model further that have the sizes of the recipes."""
    if not run.networks:
        return model
    places = {name: _place(model, name, recipe) for name, recipe in run.networks.items()}
    known: Any = {name: model.experts[place] for name, place in places.items()}
    taught = _trained(model, run, known)
    experts = list(model.experts)
    for place, network in zip(places.values(), taught, strict=True):
        experts[place] = network
    return replace(model, experts=tuple(experts))


def _place(model: Model, name: str, recipe: ConvRecipe) -> int:
    from jaxclnf.types import ConvExperts

    for i, experts in enumerate(model.experts):
        if isinstance(experts, ConvExperts) and recipe.makes(experts, model.pdm):
            return i
    sizes = ", ".join(f"{each} {getattr(recipe, each)}" for each in _SIZES)
    raise ValueError(
        f"--experts {name}: the model of --from has no network of {sizes}; say by --set {name}.side=... and "
        "the like what its network was made with"
    )


def _trained(model: Model, run: TrainRun, known: dict[str, ConvExperts]) -> list[ConvExperts]:
    from jaxclnf.training.conv.training_run import train_networks

    recipes = run.networks
    with progress_bar("steps") as bar:
        turned = _turned_line(bar, recipes, len(run.learned))
        lines = {name: bar.add_task(name, total=recipe.steps) for name, recipe in recipes.items()}

        def report(progress) -> None:
            text = f"{progress.name}: loss {progress.loss:.3f}, {progress.distance:.2f} pixels"
            bar.update(lines[progress.name], completed=progress.step, description=text)

        return train_networks(run.learned, model.pdm, recipes, run.out, run.identity, report, known, turned)


def _turned_line(bar: Any, recipes: dict[str, ConvRecipe], n_faces: int) -> Callable[[], None]:
    """Show how many copies were turned, where there are any: networks whose photos are alike share them."""
    n_copies = sum({(r.side, r.reach, r.warped, r.turned): r.turned for r in recipes.values()}.values())
    if not n_copies:
        return lambda: None
    line = bar.add_task("heads turned to the sides", total=n_copies * n_faces)
    return lambda: bar.advance(line)
