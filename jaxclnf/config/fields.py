"""Declaring settings: each once, static or traced for JAX, with the values it may have.

A traced setting is an array that a compiled fit takes as an argument; a static one is part of the program,
which is compiled anew for each value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, NamedTuple, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

from jaxclnf.pytrees import brief, same


class Rule(NamedTuple):
    """Which values a setting may have, in words and as a test."""

    expected: str
    allows: Callable[[Any], bool]


MOST = 1000
"""Limit of steps, stages and starts, beyond which a number is surely a mistake."""


def whole_number(least: int, most: int = MOST) -> Rule:
    """Allow whole numbers of a range."""

    def allows(value: Any) -> bool:
        if not isinstance(value, Integral) or isinstance(value, bool):
            return False
        return least <= int(value) <= most

    return Rule(f"a whole number of at least {least} and at most {most}", allows)


def whole_or_none(least: int, most: int = MOST) -> Rule:
    """Allow whole numbers of a range and None."""
    rule = whole_number(least, most)
    return Rule(f"{rule.expected}, or None", lambda value: value is None or rule.allows(value))


def one_of(*choices: str) -> Rule:
    """Allow some words."""
    return Rule(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


def numbers(
    expected: str, allows: Callable[[np.ndarray], Any] = lambda a: a.ndim == 0, least: float = 0.0
) -> Rule:
    """Allow finite numbers of at least ``least`` whose array passes a test: by default, that of one."""

    def fine(value: Any) -> bool:
        try:
            given = np.asarray(value)
            if not _are_numbers(given):
                return False
            array = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            return False
        return bool(np.isfinite(array).all() and (array >= least).all() and allows(array))

    return Rule(expected, fine)


def _are_numbers(array: np.ndarray) -> bool:
    """Tell numbers from words and truth values, which NumPy would convert to some."""
    if array.dtype == object:  # as whole numbers beyond 64 bits have it
        return all(isinstance(each, Real) and not isinstance(each, bool | np.bool_) for each in array.flat)
    return array.dtype.kind in "iufV"  # V: bfloat16


FLAG = Rule("True or False", lambda value: isinstance(value, bool | np.bool_))
ABOVE_ZERO = numbers("a finite number above 0", lambda a: a.ndim == 0 and a > 0)
NOT_NEGATIVE = numbers("a finite number of at least 0")
SHARE = numbers("a number from 0 to 1", lambda a: a.ndim == 0 and a <= 1)
ONE_OR_EACH = numbers("a finite number of at least 0, or one for each", lambda a: a.ndim < 2 and a.size)
BOX = numbers("four finite numbers", lambda a: a.shape == (4,), least=-np.inf)
ANGLES = numbers(
    f"rows of three finite angles, at most {MOST}",
    lambda a: a.ndim == 2 and a.shape[1] == 3 and 0 < len(a) <= MOST,
    least=-np.inf,
)


def static_setting(rule: Rule, default: Any = MISSING) -> Any:
    """Declare a setting that is part of the compiled program."""
    return field(default=default, metadata={"static": True, "rule": rule})


def traced_setting(rule: Rule, default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """Declare a setting whose values share one compiled program."""
    default = default if default is MISSING else np.float32(default)
    return field(default=default, default_factory=default_factory, metadata={"rule": rule})


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(field, static_setting, traced_setting)
)
def settings(cls):
    """Make a frozen dataclass of settings a PyTree. JAX rebuilds it without the tests of its values."""
    cls = dataclass(frozen=True, eq=False, repr=False)(cls)
    kept = [f.name for f in fields(cls) if f.metadata.get("static")]
    leaves = [f.name for f in fields(cls) if f.name not in kept]

    def flatten(tree):
        return tuple(getattr(tree, n) for n in leaves), tuple(getattr(tree, n) for n in kept)

    def flatten_with_keys(tree):
        keyed = tuple((jax.tree_util.GetAttrKey(n), getattr(tree, n)) for n in leaves)
        return keyed, tuple(getattr(tree, n) for n in kept)

    def unflatten(structure, children):
        tree = object.__new__(cls)
        for name, value in zip((*leaves, *kept), (*children, *structure), strict=True):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


class Settings:
    """Base of settings: values are tested when they are set, and settings can be compared."""

    def __post_init__(self) -> None:
        for f in fields(self):  # pyright: ignore[reportArgumentType]
            value, rule = getattr(self, f.name), f.metadata.get("rule")
            if rule is None:
                continue
            static = bool(f.metadata.get("static"))
            if isinstance(value, Tracer):
                if static:
                    raise ValueError(f"{f.name} = {value!r:.60}, expected a value that is not traced")
                continue
            value = _as_static(value) if static else value
            if not rule.allows(value):
                raise ValueError(f"{f.name} = {_plain(value)!r:.200}, expected {rule.expected}")
            if not static and not isinstance(value, np.ndarray | np.generic | jax.Array):
                value = np.asarray(value, np.float32)[()]
            object.__setattr__(self, f.name, value)

    __eq__, __hash__, __repr__ = same, None, brief  # type: ignore[assignment]


def _as_static(value: Any) -> Any:
    """Convert an array of one value to that of Python, which has a hash."""
    is_array = isinstance(value, np.ndarray | np.generic | jax.Array)
    return value.item() if is_array and value.ndim == 0 else value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic | jax.Array) else value
