"""Video files, streams and pipes decoded by FFmpeg (PyAV): upright RGB frames and when each is to be shown.

A file is opened by Python and only its bytes are handed to FFmpeg, so that no name is taken for a pattern or
an address, and nothing that stands in the file makes FFmpeg open other files.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from jaxclnf.batch.pipeline import ahead
from jaxclnf.media.frames import READ_AHEAD, READ_AHEAD_BYTES, Frame, Video
from jaxclnf.media.images import RGB
from jaxclnf.media.inputs import Failure
from jaxclnf.media.lengths import missing_bytes

# FFmpeg's readers that may be used, whatever a file is called. Others (concat, hls, ...) open further files.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,ogg,mxf,nut,rm,dv,wtv,"
    "yuv4mpegpipe,mjpeg,vc1,gif"
)
_STREAM_FORMATS = f"{_FORMATS},hls,rtsp,rtp,sdp,live_flv"
_STREAM_PROTOCOLS = "http,https,tls,tcp,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,httpproxy"
SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt")
TIMEOUT = 20.0  # seconds without data after which a stream is given up
_USUAL_RATE = 30.0
_ADVICE = "convert it, say to H.264 in .mp4"


def open_file(path: Path, fps: float | None) -> Video:
    """A video file; ``fps`` overrules the times in it. Raises ValueError where it is none."""
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    return _video(str(path), _container(str(path), _Bytes(path.open("rb"))), fps, path)


def open_pipe(name: str, file: IO[bytes], fps: float | None) -> Video:
    """A video that comes through a pipe."""
    return _video(name, _container(name, _Bytes(file, seekable=False)), fps, None)


def open_stream(url: str, fps: float | None) -> Video:
    """A video from an address; raises ValueError where nothing answers, or something else than a video."""
    fetched = _fetched(url) if url.lower().startswith("http") else None
    if fetched:
        return _video(url, _container(url, _Bytes(fetched)), fps, None)
    options = {"format_whitelist": _STREAM_FORMATS, "protocol_whitelist": _STREAM_PROTOCOLS}
    try:
        container = av.open(url, options=options, timeout=(TIMEOUT, TIMEOUT), metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{url} cannot be opened: {_said(error)}") from None
    return _video(url, container, fps, None)


def _fetched(url: str) -> Any:
    """The whole file, where a server cannot send parts of it, say the index at its end; else None."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            if answer.headers.get("Accept-Ranges") == "bytes" or "Content-Length" not in answer.headers:
                return None
            file = tempfile.TemporaryFile()  # noqa: SIM115, the decoder closes it
            for data in answer.iter_content(1 << 20):
                file.write(data)
    except (requests.RequestException, OSError) as error:
        raise ValueError(f"{url} cannot be opened: {_reason(error)}") from None
    file.seek(0)
    return file


def _reason(error: BaseException) -> str:
    """What is behind an error of the network, in a few words."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server says {response.status_code} {response.reason}"
    return f"the server does not answer ({type(error).__name__})"


class _Bytes:
    """The bytes of a file or a pipe, which has no name here, and is closed when nobody reads on."""

    def __init__(self, file: IO[bytes], seekable: bool = True) -> None:
        self.read, self.close, self._seekable = file.read, file.close, seekable
        if seekable:
            self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return self._seekable

    def readable(self) -> bool:
        return True

    def __del__(self) -> None:
        self.close()


def _container(name: str, file: Any) -> InputContainer:
    try:
        return av.open(  # pyright: ignore[reportReturnType]
            file,
            options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
            metadata_errors="replace",
            io_open=_refuse,
            buffer_size=1 << 18,
        )
    except (FFmpegError, OSError, ValueError):
        file.close()
        raise ValueError(f"{name} is no video that FFmpeg can read; {_ADVICE}") from None


def _refuse(url: str, *_: object) -> None:
    raise PermissionError(f"a video may not open other files ({url})")


def _video(name: str, container: InputContainer, fps: float | None, path: Path | None) -> Video:
    stream = next((s for s in container.streams.video if not _is_cover(s)), None)
    if stream is None or stream.codec_context is None:
        container.close()
        raise ValueError(f"{name} holds no moving pictures that FFmpeg can decode; {_ADVICE}")
    stream.thread_type = "AUTO"
    rate = fps or float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
    course = _Course(name, container, stream, fps, rate, path)
    size = 3.0 * max(stream.codec_context.width, 1) * max(stream.codec_context.height, 1)
    return Video(name, rate, course.promised(), _read_ahead(course, size), course.failures)


def _is_cover(stream: Any) -> bool:
    """Whether a stream is the still picture that goes with a song."""
    return bool(getattr(stream, "disposition", 0) & Disposition.attached_pic)


def _read_ahead(course: _Course, frame_bytes: float) -> Iterator[Frame]:
    frames = course.frames()

    def read(_: int) -> Frame | None:
        return next(frames, None)

    try:
        several = ahead(
            read, itertools.count(), depth=READ_AHEAD, cost=lambda _: frame_bytes, most=READ_AHEAD_BYTES
        )
        with closing(several):
            for frame in several:
                if frame is None:
                    return
                yield frame
    finally:
        course.container.close()


class _Course:
    """A video on its way through the decoder, and what is noticed there."""

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: Any,
        fps: float | None,
        rate: float,
        path: Path | None,
    ) -> None:
        self.name, self.container, self.failures = name, container, list[Failure]()
        self._stream, self._fps, self._rate, self._path = stream, fps, rate, path
        self._n_frames = self._n_packets = self._n_bad = 0
        self._last = -np.inf  # seconds from the container's zero: of the last frame
        self._first: float | None = None
        self._waiting: list[float] = []  # times of packets behind the last frame

    def promised(self) -> int | None:
        """Frames by the file's header, or by its length."""
        length = self._stream.duration and self._stream.duration * self._stream.time_base
        n = self._stream.frames or round(float(length or 0) * self._rate)
        return n if n > 0 else None

    def frames(self) -> Iterator[Frame]:
        """Every frame that can be decoded; at the end, what could not."""
        for picture in self._decoded():
            self._n_frames += 1
            yield Frame(self._n_frames, self._time(picture), upright(picture), self.name)
        self._judge()

    def _decoded(self) -> Iterator[Any]:
        packets = self.container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError) as error:
                self._fail(f"breaks off after {self._n_frames} frames: {_said(error)}")
                return
            if packet is None:
                return
            self._note(packet)
            try:
                yield from packet.decode()
            except FFmpegError:
                self._n_bad += 1

    def _note(self, packet: Any) -> None:
        if packet.size and not getattr(packet, "is_discard", False):
            self._n_packets += 1
            if packet.pts is not None:
                self._waiting = [t for t in self._waiting if t > self._last]
                self._waiting.append(float(packet.pts * packet.time_base))

    def _time(self, picture: Any) -> float:
        """Seconds from the first frame, by the times that the file has; by the rate where it has none."""
        stamp = picture.pts if picture.pts is not None else picture.dts
        if stamp is not None and picture.time_base:
            self._last = float(Fraction(stamp) * picture.time_base)
        else:
            self._last = self._last + 1 / self._rate if self._first is not None else 0.0
        self._first = self._last if self._first is None else self._first
        return (self._n_frames - 1) / self._fps if self._fps else self._last - self._first

    def _judge(self) -> None:
        """Whether decoding came to the end of what is there, and whether all is there."""
        behind = sum(t > self._last for t in self._waiting)
        promised = self._stream.frames
        missing = missing_bytes(self._path) if self._path and not self._n_frames >= promised > 0 else 0
        if self.failures or not self._n_frames:
            return
        if missing:
            self._fail(f"breaks off after {self._n_frames} frames: the file lacks its last {missing:,} bytes")
        elif behind > 1 or (behind and self._n_bad):
            self._fail(
                f"breaks off after {self._n_frames} frames: the last {behind} packets cannot be decoded"
            )
        elif self._n_bad:
            self._fail(f"is damaged: {self._n_bad} of {self._n_packets} packets cannot be decoded")

    def _fail(self, what: str) -> None:
        self.failures.append(Failure(self.name, f"{self.name} {what}"))


def _said(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def upright(picture: Any) -> RGB:
    """A decoded frame's pixels, turned as it is to be shown; what is transparent is white."""
    if any(getattr(part, "is_alpha", False) for part in picture.format.components):
        pixels = picture.to_ndarray(format="rgba").astype(np.uint16)
        alpha = pixels[..., 3:]
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    else:
        pixels = picture.to_ndarray(format="rgb24")
    return np.ascontiguousarray(_turned(pixels, _display_matrix(picture)))


def _display_matrix(picture: Any) -> np.ndarray | None:
    """FFmpeg's 3 x 3 matrix that carries stored pixels to where they are shown."""
    for data in picture.side_data:
        if "DISPLAYMATRIX" in str(data.type).upper():
            return np.frombuffer(bytes(data), np.int32, 9).reshape(3, 3)
    return None


def _turned(pixels: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Pixels turned and mirrored by a display matrix, to the nearest of the eight upright ways."""
    if matrix is None:
        return pixels
    (a, b), (c, d) = matrix[:2, :2].astype(np.int64)
    across, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    pixels = pixels[:, ::-1] if across < 0 else pixels
    return pixels[::-1] if down < 0 else pixels
