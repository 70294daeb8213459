"""Single frames of films by their times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from jaxclnf.media.film_frames import frames_at
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.media.video_sources import open_video
from tests.video_files import picture

N_FRAMES = 130  # with several key frames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A film of uneven rate, whose name looks like an address and a pattern, and its frames' times in it.

    It is told times that do not begin at 0. Its first frames come fast, and the key frames late.
    """
    path = tmp_path_factory.mktemp("films") / "data:%03d.mp4"
    gaps = np.random.default_rng(0).uniform(0.01, 0.2, N_FRAMES)
    gaps[:3], gaps[::12] = (0, 0.002, 0.002), 0.5
    times = np.cumsum(gaps) - gaps[0]
    file = VideoFile(path, 10)
    for i, time in enumerate(times):
        file.add(picture(i), 7.123 + time)
    file.finish()
    return path, times


def test_frames_are_those_that_are_met_on_the_way(film: tuple[Path, np.ndarray]) -> None:
    path, times = film
    chosen = [*range(N_FRAMES), 7]
    whole = [frame.rgb for frame in open_video(path).frames]
    found = list(frames_at(path, np.round(times[chosen], 6)))
    assert [np.array_equal(a, whole[i]) for a, i in zip(found, chosen, strict=True)] == [True] * len(chosen)


def test_a_film_that_begins_late_counts_from_its_first_frame(tmp_path: Path) -> None:
    """As those that were written by an earlier state of this program."""
    with av.open(tmp_path / "late.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = i + 2, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = [frame.rgb for frame in open_video(tmp_path / "late.mp4").frames]
    (found,) = frames_at(tmp_path / "late.mp4", [0.7])
    np.testing.assert_array_equal(found, whole[7])


def test_a_film_that_ends_early_gives_what_it_has(film: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, times = film
    assert len(list(frames_at(path, [0.0, times[-1] + 1, 0.0]))) == 1
    (tmp_path / "no.mp4").write_bytes(b"not a film")
    for other in (tmp_path / "no.mp4", tmp_path / "missing.mp4", tmp_path):
        assert list(frames_at(other, [0.0])) == []
