"""The recipes that ``jaxclnf train`` follows, after its ``--experts`` and ``--set``."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxclnf.training.conv.network_recipe import ConvRecipe
    from jaxclnf.training.patch_recipe import Recipe


def names_of(experts: str) -> list[str]:
    """Give the names in --experts."""
    return [name.strip() for name in experts.split(",")]


def asked_recipes(
    experts: str, settings: list[str], seed: int, further: bool
) -> tuple[Recipe, dict[str, ConvRecipe]]:
    """Make the recipe of the patch experts, and those of the networks with the teaching one first.

    ``further``: they are experts of a model that there is.
    """
    from jaxclnf.training.patch_recipe import Recipe

    recipes: dict[str, Any] = {"": Recipe(seed=seed), **_of_networks(experts, seed, further)}
    values: dict[str, dict[str, Any]] = {network: {} for network in recipes}
    for setting in settings:
        where, _, text = setting.partition("=")
        network, _, name = where.rpartition(".")
        if network not in recipes:
            raise ValueError(f"--set {setting}: {network!r} is not a network of --experts")
        known = [f.name for f in fields(recipes[network])]
        if name not in known:
            raise ValueError(f"--set {setting}: {name!r} is not a setting; settings are {', '.join(known)}")
        values[network][name] = _parsed(setting, text, getattr(recipes[network], name))
    recipes = {network: replace(recipe, **values[network]) for network, recipe in recipes.items()}
    return recipes.pop(""), recipes


def _of_networks(experts: str, seed: int, further: bool) -> dict[str, ConvRecipe]:
    from jaxclnf.training.conv.network_recipe import RECIPES

    names = names_of(experts)
    if unknown := [name for name in names if name not in ("ccnf", *RECIPES)]:
        raise ValueError(f"--experts {experts}: {unknown[0]!r} is none of ccnf, {', '.join(RECIPES)}")
    if not further and "ccnf" not in names:
        raise ValueError(f"--experts {experts}: expected ccnf among them, which refine what networks find")
    return {name: replace(r, seed=seed + r.seed) for name, r in RECIPES.items() if name in names}


def _parsed(setting: str, text: str, old: Any) -> Any:
    """Parse a value of a setting, of the type of its default."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            return tuple(type(old[0])(part) for part in text.split(",") if part)
        return type(old)(text)
    except (ValueError, KeyError):
        raise ValueError(f"--set {setting}: expected a value like {old}") from None
