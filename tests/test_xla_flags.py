"""XLA does not use the part that gives wrong numbers."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import pytest

from jaxclnf import xla_flags


@pytest.mark.skipif(xla_flags.JAXLIB < xla_flags.FIRST, reason="this jaxlib's YNNPACK has no such fault")
def test_products_are_not_left_to_ynnpack() -> None:
    product = jax.jit(lambda a, b: jnp.einsum("bij,bjk->bik", a, b))
    program = product.lower(jnp.ones((44, 68, 30)), jnp.ones((44, 30, 20))).compile().as_text()
    assert "__ynn_fusion" not in program


@pytest.mark.parametrize(
    ("jaxlib", "before", "after"),
    [
        ((0, 10, 2), "", ""),
        ((0, 11, 0), "", f"--{xla_flags.FLAG}="),
        ((0, 12, 0, 1), "--xla_a=1", f"--xla_a=1 --{xla_flags.FLAG}="),
        ((0, 12, 0, 1), f"--{xla_flags.FLAG}=x", f"--{xla_flags.FLAG}=x"),
    ],
)
def test_only_jaxlibs_that_use_it_get_the_flag(
    monkeypatch, jaxlib: tuple[int, ...], before: str, after: str
) -> None:
    monkeypatch.setattr(xla_flags, "JAXLIB", jaxlib)
    monkeypatch.setenv("XLA_FLAGS", before)
    xla_flags.without_ynnpack()
    assert os.environ["XLA_FLAGS"] == after
