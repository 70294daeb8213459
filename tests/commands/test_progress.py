"""Progress in a log: a line now and then, nothing else."""

import pytest

from jaxclnf.commands import common, progress_lines


def test_long_work_says_in_a_log_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(progress_lines, "EVERY", 0.0)
    with common.progress("photos") as bar:
        task = bar.add_task("fitting", total=3)
        bar.advance(task)
        bar.update(task, completed=2, description="[still] fitting")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("fitting: 1 of 3 photos")
    assert second.startswith("[still] fitting: 2 of 3 photos")


def test_short_work_says_nothing_in_a_log(capsys: pytest.CaptureFixture) -> None:
    with common.progress("photos") as bar:
        bar.advance(bar.add_task("fitting", total=3))
    assert capsys.readouterr() == ("", "")
