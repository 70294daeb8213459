"""Compiled functions whose programs outlive the process, so that the next one need not compile them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import update_wrapper
from inspect import signature
from threading import RLock
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.cache import cache_folder
from jaxclnf.cache.flat import ArgumentKind, flat
from jaxclnf.cache.program_key import machine_key
from jaxclnf.cache.stored_programs import compiled_anew, restored, store
from jaxclnf.forks import refuse_if_inherited

P = ParamSpec("P")
R = TypeVar("R")

_compiling = RLock()
_MOST_LEAVES = 2000  # arrays in arguments; a picture as lists is an argument for each pixel


def keep(function: Callable[P, R]) -> Kept[P, R]:
    """Compile a function as `jax.jit` does, and keep its programs in the cache folder.

    That holds for calls on a CPU with arrays in its memory. Within other functions of JAX, on other devices
    and without a cache folder it does what `jax.jit` does.
    """
    return Kept(function)


def keep_checked(
    check: Callable[..., None], alike: Callable[..., tuple] | None = None
) -> Callable[[Callable[P, R]], Kept[P, R]]:
    """Do as `keep`, and have ``check`` see the arguments of each call, in order, which may refuse them.

    ``alike`` takes the arguments, in order, and returns those that mean the same and are alike in more calls,
    so that these share a program.
    """
    return lambda function: Kept(function, check, alike)


class Kept(Generic[P, R]):
    """A function compiled by `keep`; otherwise it behaves as one compiled by `jax.jit`."""

    def __init__(
        self,
        function: Callable[P, R],
        check: Callable[..., None] | None = None,
        alike: Callable[..., tuple] | None = None,
    ) -> None:
        update_wrapper(self, function)
        self._jitted: Callable[..., Any] = jax.jit(function)
        self._signature = signature(function)
        self._alike = alike
        self._programs: dict[Any, Callable[..., R]] = {}
        self._check_values = check

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._after(self._check_values, args, kwargs)

    def unchecked(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function with arguments whose values are known to be fine."""
        return self._after(None, args, kwargs)

    def __reduce__(self) -> str:
        return self.__qualname__  # copies and other processes find it by its name, as functions

    def _after(self, check: Callable[..., None] | None, args: tuple, kwargs: dict) -> R:
        refuse_if_inherited()
        found = self._in_order(args, kwargs)
        if found is None:  # which the function itself refuses best
            return self._jitted(*args, **kwargs)
        if check is not None:
            check(*found)
        given = self._alike(*found) if self._alike else found
        flats = [flat(each) for each in given]
        if sum(each.n_leaves for each in flats) > _MOST_LEAVES:
            self._check(found)
        try:
            return self._called(given, tuple(each.kind for each in flats))
        except TypeError as error:
            self._check(found)
            if not any(map(_varies, jax.tree.leaves(found))):
                raise
            raise ValueError(
                f"{self.__name__} within jax.shard_map: give that check_vma=False, or use jaxclnf.fit_sharded"
            ) from error
        except Exception as error:
            if not _is_of_explicit_axes(error):
                raise
            raise ValueError(
                f"{self.__name__} within a function of JAX or jax.set_mesh, of arrays on a mesh with "
                "explicit axes: use jaxclnf.fit_sharded, "
                "or jax.make_mesh(..., axis_types=(jax.sharding.AxisType.Auto,))"
            ) from error

    def _in_order(self, args: tuple, kwargs: dict) -> tuple | None:
        """All arguments by position; None if they are not those of the function."""
        if not kwargs and len(args) == len(self._signature.parameters):
            return args
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        return bound.args if not bound.kwargs else None

    def _called(self, args: tuple, kinds: tuple[ArgumentKind | None, ...]) -> R:
        if None in kinds or _is_unusual():
            return self._jitted(*args)
        kind = kinds, _told_apart()
        if program := self._programs.get(kind):
            return program(*args)
        if cache_folder.place() is None:
            return self._jitted(*args)
        return self._first(kind, args)

    def _check(self, args: tuple) -> None:
        """Raise ValueError for an argument that is no array of numbers that JAX has."""
        for name, value in zip(self._signature.parameters, args, strict=True):
            problem = next(filter(None, map(no_array, jax.tree.leaves(value))), "")
            if isinstance(value, list) and value and isinstance(value[0], list):
                problem = "lists of lists"
            if problem:
                raise ValueError(f"{self.__name__}: {name} holds {problem}, expected arrays of real numbers")

    def _first(self, kind: Any, args: tuple) -> R:
        """Make the first call of its kind: read the program from the cache, or compile and keep it."""
        with _compiling:  # threads that ask for the same program wait for it
            if kind in self._programs:
                return self._programs[kind](*args)
            name = self._name(kind)
            with suppress(Exception):  # the entry is missing, or unusable for any reason
                program = restored(name, jax.tree.structure((args, {})))
                result = jax.block_until_ready(program(*args))
                self._programs[kind] = program
                return result
            program = self._compiled(name, args)
            self._programs[kind] = program
            return program(*args)

    def _name(self, kind: Any) -> str:
        function = f"{self.__module__}.{self.__qualname__}"
        told = hashlib.sha256(f"{function} {kind} {machine_key()}".encode()).hexdigest()
        return f"program-{self.__name__}-{told[:40]}"

    def _compiled(self, name: str, args: tuple) -> Callable[..., R]:
        program = compiled_anew(self.lower(*args))
        store(name, program)
        return program

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["_jitted"], name)

    # These are written out because Python 3.12 looks for a protocol's methods on the class: without them
    # `jax.export` would not take a kept function for a `jax.stages.Wrapped`.
    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lower as a `jax.jit` function does."""
        return self._jitted.lower(*args, **kwargs)

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Trace as a `jax.jit` function does."""
        return self._jitted.trace(*args, **kwargs)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the shapes of the results as a `jax.jit` function does."""
        return self._jitted.eval_shape(*args, **kwargs)


def _is_of_explicit_axes(error: Exception) -> bool:
    """Tell that JAX refused arrays on explicit axes: by a type that it does not export, or by its words."""
    if type(error).__name__ == "ShardingTypeError":
        return True
    return isinstance(error, ValueError) and any(
        words in str(error) for words in ("Resource axis", "context mesh")
    )


def no_array(leaf: Any) -> str:
    """Say what an argument is instead of an array of numbers; empty if it is one."""
    if isinstance(leaf, np.ndarray | np.generic):
        known = leaf.dtype.kind in "biuf" or jnp.issubdtype(leaf.dtype, jnp.floating)
        return "" if known and leaf.dtype.isnative else f"an array of {leaf.dtype.str}"
    is_number = isinstance(leaf, int | float | jax.Array) or hasattr(leaf, "__jax_array__")
    return "" if is_number else f"a {type(leaf).__name__}"


def _varies(leaf: Any) -> bool:
    """Tell an array of `jax.shard_map`, which tracks along which axes of the mesh it varies."""
    return isinstance(leaf, jax.Array) and "{V:" in str(jax.typeof(leaf))  # its field has changed its name


def _is_unusual() -> bool:
    """Whether JAX works in a way, or on a device, of which no program is kept."""
    config: Any = jax.config
    unusual = config.jax_disable_jit or config.jax_debug_nans or config.jax_debug_infs
    return unusual or config.jax_default_device is not None or jax.default_backend() != "cpu"


def _told_apart() -> tuple:
    """Those of JAX's settings that a process may change between calls."""
    config: Any = jax.config
    return config.jax_enable_x64, config.jax_default_matmul_precision
