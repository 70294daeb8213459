"""Opening video files, streams and pipes with FFmpeg (PyAV), to decode upright RGB frames with their times.

A file is opened by Python and only its bytes are handed to FFmpeg, so that no name is taken for a pattern or
an address, and no content of a file makes FFmpeg open other files.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from jaxclnf.batch.overlap import ahead
from jaxclnf.media.frame_pixels import square_size
from jaxclnf.media.frames import READ_AHEAD, READ_AHEAD_BYTES, Frame, Video
from jaxclnf.media.truncation import cut_short
from jaxclnf.media.video_decoder import Decoding, said
from jaxclnf.models.download import headers_of, received

# FFmpeg's readers that may be used, whatever a file is called. Others (concat, hls, ...) open further files.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,ogg,mxf,nut,rm,dv,wtv,"
    "yuv4mpegpipe,mjpeg,vc1,gif"
)
_STREAM_FORMATS = f"{_FORMATS},hls,rtsp,rtp,sdp,live_flv"
_STREAM_PROTOCOLS = "http,https,tls,tcp,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,httpproxy"
SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt")
# Titles of strangers may be no UTF-8, which PyAV allows by itself from its version 19 on.
_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
TIMEOUT = 20.0  # seconds without data after which a stream is given up
_USUAL_RATE = 30.0
_ADVICE = "convert it, say to H.264 in .mp4"


def open_file(path: Path, fps: float | None) -> Video:
    """Open a video file; ``fps`` overrules the times in it. Raises ValueError if it is not a video."""
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    try:
        container = _container(str(path), _Bytes(path.open("rb")))
    except ValueError:
        missing = cut_short(path)
        if missing:
            raise ValueError(f"{path} cannot be read: {missing}") from None
        raise
    return _video(str(path), container, fps, path)


def open_pipe(name: str, file: IO[bytes], fps: float | None) -> Video:
    """Open a video that comes through a pipe."""
    return _video(name, _container(name, _Bytes(file, seekable=False)), fps, None)


def open_stream(url: str, fps: float | None) -> Video:
    """Open a video at an address; raises ValueError if there is no answer, or the answer is not a video."""
    fetched = _fetched(url) if url.lower().startswith("http") else None
    if fetched:
        return _video(url, _container(url, _Bytes(fetched)), fps, None)
    options = {"format_whitelist": _STREAM_FORMATS, "protocol_whitelist": _STREAM_PROTOCOLS}
    try:
        container = av.open(url, options=options, timeout=(TIMEOUT, TIMEOUT), **_METADATA)
    except (FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{url} cannot be opened: {said(error)}") from None
    return _video(url, container, fps, None)


def _fetched(url: str) -> Any:
    """Fetch the whole file if a server cannot send parts of it, such as the index at its end; else None."""
    said_of_it = headers_of(url, TIMEOUT)
    is_playlist = "mpegurl" in said_of_it.get("Content-Type", "").lower() or ".m3u8" in url.lower()
    has_parts = said_of_it.get("Accept-Ranges") == "bytes" or "Content-Length" not in said_of_it
    if is_playlist or has_parts:
        return None
    try:
        return _kept(received(url, TIMEOUT))
    except OSError as error:
        raise ValueError(f"{url} cannot be kept on this machine: {error.strerror}") from None


def _kept(parts: Iterable[bytes]) -> IO[bytes]:
    """Write parts to a temporary file, which the decoder closes; after an error there is none."""
    with ExitStack() as unless_whole:
        file = unless_whole.enter_context(tempfile.TemporaryFile())
        for data in parts:
            file.write(data)
        file.seek(0)
        unless_whole.pop_all()
        return file


class _Bytes:
    """The bytes of a file or a pipe without its name; it is closed when it is no longer read."""

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
        return av.open(
            file,
            options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
            **_METADATA,
            io_open=_refuse,
            buffer_size=1 << 18,
        )
    except (FFmpegError, OSError, ValueError):
        file.close()
        raise ValueError(f"{name} is not a video that FFmpeg can read; {_ADVICE}") from None


def _refuse(url: str, *_: object) -> None:
    raise PermissionError(f"a video may not open other files ({url})")


def _video(name: str, container: InputContainer, fps: float | None, path: Path | None) -> Video:
    stream = next((s for s in container.streams.video if not _is_cover(s)), None)
    if stream is None or stream.codec_context is None:
        container.close()
        raise ValueError(f"{name} holds no moving pictures that FFmpeg can decode; {_ADVICE}")
    stream.thread_type = "AUTO"
    rate = fps or float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
    decoding = Decoding(name, container, stream, fps, rate, path)
    return Video(
        name, rate, decoding.promised(), _read_ahead(decoding, _frame_bytes(stream)), decoding.failures
    )


def _frame_bytes(stream: Any) -> float:
    """Tell how much memory a frame takes as it is shown."""
    stored = stream.codec_context
    width, height = square_size(stored.width, stored.height, stream.sample_aspect_ratio)
    return 3.0 * max(width, 1) * max(height, 1)


def _is_cover(stream: Any) -> bool:
    """Tell whether a stream is the cover picture of a song."""
    return bool(getattr(stream, "disposition", 0) & Disposition.attached_pic)


def _read_ahead(decoding: Decoding, frame_bytes: float) -> Iterator[Frame]:
    frames = decoding.frames()

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
        decoding.container.close()
