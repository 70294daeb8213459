"""Single frames of films by their times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxclnf.media.film_frames import frames_at
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.media.video_sources import open_video
from tests.video_files import picture

N_FRAMES = 130  # with several key frames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A film of uneven rate, whose name looks like an address and a pattern, and its frames' times."""
    path = tmp_path_factory.mktemp("films") / "data:%03d.mp4"
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.2, N_FRAMES)) - 0.01
    times -= times[0]
    file = VideoFile(path, 10)
    for i, time in enumerate(times):
        file.add(picture(i), time)
    file.finish()
    return path, times


def test_frames_are_those_that_are_met_on_the_way(film: tuple[Path, np.ndarray]) -> None:
    path, times = film
    chosen = [0, 1, 49, 50, 51, 99, 128, 129, 7]
    whole = [frame.rgb for frame in open_video(path).frames]
    found = list(frames_at(path, np.round(times[chosen], 3)))
    assert [np.array_equal(a, whole[i]) for a, i in zip(found, chosen, strict=True)] == [True] * len(chosen)


def test_a_film_that_ends_early_gives_what_it_has(film: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, times = film
    assert len(list(frames_at(path, [0.0, times[-1] + 1, 0.0]))) == 1
    (tmp_path / "no.mp4").write_bytes(b"not a film")
    for other in (tmp_path / "no.mp4", tmp_path / "missing.mp4", tmp_path):
        assert list(frames_at(other, [0.0])) == []
