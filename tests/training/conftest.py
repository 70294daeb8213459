"""Training draws at random: every key once, which JAX watches here."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="package", autouse=True)
def keys_are_used_once() -> Iterator[None]:
    with jax.debug_key_reuse(True):
        yield
