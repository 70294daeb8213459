"""What tells models apart: the same for equal models, whatever order their sets are kept in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from engine import synthetic_model

from jaxclnf.models.fingerprint import fingerprint
from jaxclnf.types import Model

DIGESTS = [bytes([i, 7 * i % 256]) * 4 for i in range(200)]


def having_learned(digests: list[bytes]) -> Model:
    model = synthetic_model(np.float32)
    return replace(model, provenance=replace(model.provenance, learned=frozenset(digests)))


def test_the_order_of_what_was_learned_is_of_no_matter() -> None:
    model, turned = having_learned(DIGESTS), having_learned(DIGESTS[::-1])
    assert list(model.learned) != list(turned.learned)
    assert fingerprint(model) == fingerprint(turned)


def test_models_that_learned_from_other_photos_are_others() -> None:
    assert fingerprint(having_learned(DIGESTS)) != fingerprint(having_learned(DIGESTS[1:]))
