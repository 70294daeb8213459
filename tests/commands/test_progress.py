"""Progress in a log: a line now and then, nothing else."""

import pytest

from jaxclnf.cluster.cluster_run import Progress
from jaxclnf.commands import on_cluster, progress_lines
from jaxclnf.commands.progress_bars import progress_bar


def test_long_work_says_in_a_log_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(progress_lines, "EVERY", 0.0)
    with progress_bar("photos") as bar:
        clock = iter(range(0, 3600, 90))  # a photo in one minute and a half
        bar.get_time = lambda: next(clock)
        task = bar.add_task("fitting", total=3)
        bar.advance(task)
        bar.update(task, completed=2, description="[still] fitting")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "fitting: 1 of 3 photos"
    assert second == "[still] fitting: 2 of 3 photos, 0.7 photos/min, 0:01:30 left"


def test_short_work_says_nothing_in_a_log(capsys: pytest.CaptureFixture) -> None:
    with progress_bar("photos") as bar:
        bar.advance(bar.add_task("fitting", total=3))
    assert capsys.readouterr() == ("", "")


def test_a_run_on_a_cluster_says_it_in_the_same_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(on_cluster, "SAY_EVERY", 0.0)
    with on_cluster.telling("photos") as tell:
        tell(Progress(done=1_000_000, total=2_000_000, failures=1, workers=2))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("2 workers, 1 failure: 1,000,000 of 2,000,000 photos")
