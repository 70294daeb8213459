"""What the tests of the sub-commands share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from command_line import Outcome, runner


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable[..., Outcome]:
    """The command line, run inside the test's process."""
    return runner(monkeypatch, capfd)
