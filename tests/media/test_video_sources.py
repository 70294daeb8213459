from __future__ import annotations

import os
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import IO

import cv2
import numpy as np
import pytest
from deep_files import animated_png, big_tiff
from PIL import Image
from video_files import N_FRAMES, picture, write_broken_video, write_video

from jaxclnf.media.tiff_pages import page_places
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.media.video_sources import open_video


@pytest.mark.releases
@pytest.mark.parametrize("name", ["a.mp4", 'it\'s 顔 "q".mp4'])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    video = open_video(str(write_video(tmp_path / name)))
    assert (video.fps, video.n_frames) == (12.5, N_FRAMES)
    frames = list(video.frames)
    assert [frame.number for frame in frames] == list(range(1, N_FRAMES + 1))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(N_FRAMES) / 12.5)
    for i, frame in enumerate(frames):
        assert np.abs(frame.rgb.astype(int) - picture(i)).mean() < 6
    assert os.listdir(tmp_path) == [name]


def test_an_unfinished_video_plays_at_any_moment_and_has_no_name_yet(tmp_path: Path) -> None:
    """As a run leaves it that is killed: it may lack half a second and what the encoder looks ahead."""
    film = VideoFile(tmp_path / "a.mp4", 25)
    for i in range(60):
        film.add(picture(i, size=(64, 96) if i else (32, 48)))  # fitted to the first
    assert os.listdir(tmp_path) == ["a.unfinished.mp4"]
    seen = [frame.time for frame in open_video(str(film.unfinished)).frames]
    np.testing.assert_allclose(seen[:30], np.arange(30) / 25, atol=1e-3)
    film.finish()
    film.finish()
    assert len(list(open_video(str(tmp_path / "a.mp4")).frames)) == 60
    assert b"moof" not in (tmp_path / "a.mp4").read_bytes()[:100]  # plain for players that know no fragments


@pytest.mark.releases
def test_a_folder_of_pictures_is_a_video(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(picture(i)).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"broken")
    for source in (str(tmp_path), str(tmp_path / "*.png")):
        video = open_video(source, fps=10)
        frames = list(video.frames)
        assert [(frame.number, frame.time) for frame in frames] == [(1, 0), (3, 0.2)]
        np.testing.assert_array_equal(frames[1].rgb, picture(2))
        assert [failure.source for failure in video.failures] == [str(tmp_path / "1.png")]


def deep_pages() -> list[np.ndarray]:
    """Pictures of 16 bits, of which each has another corner brightened."""
    pages = [257 * picture(0).astype(np.uint16) for _ in range(4)]
    for i, page in enumerate(pages):
        page[60 * (i // 2) :][:4, 90 * (i % 2) :][:, :6] = 65535
    return pages


@pytest.mark.releases
@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, "big.tif", "animated.png"])
def test_every_page_of_more_than_8_bits_is_a_frame(tmp_path: Path, kind) -> None:
    pages, path = deep_pages(), tmp_path / (kind if isinstance(kind, str) else "a.tif")
    if isinstance(kind, str):
        path.write_bytes((animated_png if kind == "animated.png" else big_tiff)(pages))
    else:
        as_written = [page[..., ::-1].astype(kind) for page in pages]
        assert cv2.imwritemulti(str(path), as_written, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    video = open_video(str(path))
    frames = [frame.rgb.astype(int) for frame in video.frames]
    assert (len(frames), video.n_frames, video.failures) == (4, 4, [])
    for frame, page in zip(frames, pages, strict=True):
        assert np.abs(frame - page // 257).max() <= 1


def test_frames_before_a_broken_page_are_given(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    assert cv2.imwritemulti(str(path), [page.astype(np.float32) for page in deep_pages()])
    data = path.read_bytes()
    third, fourth = page_places(data)[2:]
    path.write_bytes(data[:third] + bytes(fourth - third) + data[fourth:])
    video = open_video(str(path))
    assert len(list(video.frames)) == 2
    assert [failure.reason for failure in video.failures] == [
        f"{path} cannot be read: its page 3 is broken, or of a kind that cannot be read"
    ]


def test_a_camera_is_read_by_the_clock(tmp_path: Path, monkeypatch) -> None:
    """A film stands for the camera, which promises no number of frames and tells no rate."""
    film = str(write_video(tmp_path / "a.mp4"))
    captured = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: captured({2: film}[number]))
    video = open_video("2")
    frames = list(video.frames)
    assert (video.name, video.n_frames) == ("camera 2", None)
    assert [frame.number for frame in frames] == list(range(1, N_FRAMES + 1))
    times = [frame.time for frame in frames]
    assert 0 == times[0] < times[-1] < 60
    assert times == sorted(times)
    assert np.abs(frames[-1].rgb.astype(int) - picture(N_FRAMES - 1)).mean() < 6


def test_a_video_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    video = open_video(str(write_broken_video(tmp_path / "a.avi")))
    frames = list(video.frames)
    assert 3 < len(frames) < N_FRAMES
    assert video.n_frames == N_FRAMES
    assert [f"breaks off after {len(frames)} frames" in failure.reason for failure in video.failures] == [
        True
    ]


def test_what_is_no_video_is_a_sentence(tmp_path: Path, capfd) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "bare").mkdir()
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # the index is at the end
    cases = {
        str(tmp_path / "nowhere.mp4"): "does not exist",
        str(tmp_path / "empty.mp4"): "is empty",
        str(tmp_path / "text.mp4"): "not a video that FFmpeg can read",
        str(tmp_path / "cut.mp4"): "cut.mp4 cannot be read: the file lacks its last",
        str(tmp_path / "bare"): "holds no photos",
        str(tmp_path / "*.mov"): "matches no file",
    }
    for source, sentence in cases.items():
        with pytest.raises(ValueError, match=sentence):
            open_video(source)
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError, match="no camera 99"):
        open_video("99")
    for source in ("9" * 30, "\u0663", "\u00b2", tmp_path / "nowhere"):  # digits, but no camera's number
        with pytest.raises(ValueError, match="does not exist"):
            open_video(source)
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"fps = .*, expected a finite number"):
            open_video(str(tmp_path / "whole.mp4"), fps)


class BadServer(BaseHTTPRequestHandler):
    """A server that cannot send parts of a file, and breaks off in the middle, or hardly sends."""

    def do_GET(self) -> None:
        self.send_response(200 if "none" not in self.path else 404)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with suppress(OSError):  # nobody waits
            self.wfile.write(bytes(1000))
            for _ in range(40 if "slow" in self.path else 0):
                self.wfile.write(b"x")
                time.sleep(0.05)

    def log_message(self, *_) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "said", "n_files"),
    [
        ("cut.mp4", "no connection, or it broke off", 1),
        ("slow.mp4", "the server sent less than 16384 bytes in 0.4 s", 1),
        ("none.mp4", "the server answers 404", 0),
    ],
)
def test_bad_servers_are_named_in_time_and_leave_no_open_file(monkeypatch, name, said, n_files) -> None:
    monkeypatch.setattr("jaxclnf.media.container.TIMEOUT", 0.2)
    files = []

    def kept() -> IO[bytes]:
        files.append(BytesIO())
        return files[-1]

    monkeypatch.setattr("jaxclnf.media.container.tempfile.TemporaryFile", kept)
    with ThreadingHTTPServer(("127.0.0.1", 0), BadServer) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        with pytest.raises(ValueError, match=f"{url}: {said}"):
            open_video(url)
        server.shutdown()
    assert [file.closed for file in files] == [True] * n_files
