"""The part of ``jaxclnf train`` that is about networks: which, by what recipes, from what on."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxclnf.commands import common

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.conv.network_recipe import ConvRecipe
    from jaxclnf.types import ConvExperts, Model


def recipes_for(experts: str, settings: list[str], seed: int, further: bool) -> dict[str, ConvRecipe]:
    """Make the recipes of the networks that are asked for, with the teaching one first.

    ``further``: they are networks of a model that there is.
    """
    from jaxclnf.training.conv.network_recipe import RECIPES

    names = names_of(experts)
    if unknown := [name for name in names if name not in ("ccnf", *RECIPES)]:
        raise ValueError(f"--experts {experts}: {unknown[0]!r} is none of ccnf, {', '.join(RECIPES)}")
    if not further and "ccnf" not in names:
        raise ValueError(f"--experts {experts}: expected ccnf among them, which refine what networks find")
    chosen = {n: replace(r, seed=seed + r.seed) for n, r in RECIPES.items() if n in names}
    for setting in settings:
        (network, _, name), text = setting.partition("=")[0].partition("."), setting.partition("=")[2]
        if network not in chosen or name not in (f.name for f in fields(chosen[network])):
            raise ValueError(
                f"--set {setting}: expected a network of --experts, a dot and one of its settings"
            )
        value = parsed(setting, text, getattr(chosen[network], name))
        chosen[network] = replace(chosen[network], **{name: value})
    return chosen


def names_of(experts: str) -> list[str]:
    """Give the names in --experts."""
    return [name.strip() for name in experts.split(",")]


def with_networks(model: Model, learned: Faces, recipes: dict[str, ConvRecipe], out: Path, run: str) -> Model:
    """Combine the finest patch experts with new networks, and the settings for both."""
    from jaxclnf.models.network_presets import settings_for

    networks = _trained(model, learned, recipes, out, run, {})
    model = replace(model, experts=(model.experts[-1], *networks))
    return replace(model, settings=settings_for(model, "default"))


def networks_further(
    model: Model, learned: Faces, recipes: dict[str, ConvRecipe], out: Path, run: str
) -> Model:
    """Teach those networks of a model further that have the sizes of the recipes."""
    if not recipes:
        return model
    places = {name: _place(model, name, recipe) for name, recipe in recipes.items()}
    known: Any = {name: model.experts[place] for name, place in places.items()}
    taught = _trained(model, learned, recipes, out, run, known)
    experts = list(model.experts)
    for place, network in zip(places.values(), taught, strict=True):
        experts[place] = network
    return replace(model, experts=tuple(experts))


def _place(model: Model, name: str, recipe: ConvRecipe) -> int:
    from jaxclnf.types import ConvExperts

    for i, experts in enumerate(model.experts):
        if isinstance(experts, ConvExperts) and recipe.makes(experts.network):
            return i
    raise ValueError(
        f"--experts {name}: the model of --from has no network of {recipe.stem}, {recipe.channels} channels"
    )


def _trained(
    model: Model,
    learned: Faces,
    recipes: dict[str, ConvRecipe],
    out: Path,
    run: str,
    known: dict[str, ConvExperts],
) -> list[ConvExperts]:
    from jaxclnf.training.conv.training_run import train_networks

    with common.progress("steps") as bar:
        lines = {name: bar.add_task(name, total=recipe.steps) for name, recipe in recipes.items()}

        def report(progress) -> None:
            text = f"{progress.name}: loss {progress.loss:.3f}, {progress.distance:.2f} pixels"
            bar.update(lines[progress.name], completed=progress.step, description=text)

        return train_networks(learned, model.pdm, recipes, out, run, report, known)


def parsed(setting: str, text: str, old: Any) -> Any:
    """Parse a value of a setting, of the type of its default."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            return tuple(type(old[0])(part) for part in text.split(",") if part)
        return type(old)(text)
    except (ValueError, KeyError):
        raise ValueError(f"--set {setting}: expected a value like {old}") from None
