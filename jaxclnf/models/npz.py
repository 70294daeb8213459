"""Arrays in a .npz that is not trusted: nothing pickled, no more memory than allowed, a checksum over all.

NumPy's own reader takes what a file claims for granted; here a member is as long as its header says or the
file is refused.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxclnf.models.budget import Budget

_FACTOR = 64
"""Bytes granted for each of a file, which is compressed: OpenFace's models need up to 49, most of them
for what is computed from the file."""
_KINDS = "biufU"  # bool, integers, floating-point numbers, text
_MAX_HEADER = 1000  # characters of a member's header; NumPy writes less than 130
_MEMBER = 1000  # bytes that a member costs beside its content


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = True) -> None:
    """Write arrays and their checksum to one file, whole or not at all.

    Raises ValueError if there is no place for the file.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(f"{path}: not a place for a file, expected a file name in a folder that exists")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    write = np.savez_compressed if compress else np.savez
    try:
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as file:  # x: never through a link that someone has put there
            write(file, **arrays, checksum=np.array(checksum(arrays)))  # type: ignore[arg-type]
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_checked(path: Path, budget: Budget) -> dict[str, np.ndarray]:
    """The arrays that `write_arrays` wrote; raises ValueError if anything is not as it was written."""
    arrays = read_arrays(path, budget)
    if "checksum" not in arrays:
        raise ValueError("'checksum' is missing")
    if str(arrays.pop("checksum")) != checksum(arrays):
        raise ValueError("the checksum does not match, the file is damaged")
    return arrays


def read_arrays(path: Path, budget: Budget) -> dict[str, np.ndarray]:
    """All arrays of a file, read-only, whose memory is taken from ``budget``.

    Raises ValueError if the file is no .npz of numbers and text, is damaged or takes too much memory.
    """
    budget.grant(path, _FACTOR)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            budget.take(sum(m.file_size + _MEMBER for m in members), "its arrays")
            return {m.filename.removesuffix(".npy"): _array(_content(archive, m)) for m in members}
    except Exception as error:  # zip files and headers that are damaged raise anything
        raise ValueError(_sentence(error)) from None


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, of which there are as many as its entry says."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename[:80]!r} is compressed in another way than deflated")
    with archive.open(member) as file:
        content = file.read(member.file_size)
    if len(content) != member.file_size:
        raise ValueError(f"{member.filename[:80]!r} is cut short")
    return content


def _array(content: bytes) -> np.ndarray:
    """The array of a .npy file, without a copy."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is not in version 1.0 of NumPy's format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise ValueError(f"an array holds {str(dtype)[:40]}, which would have to be pickled or is no number")
    size, left = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if min(shape, default=0) < 0 or size != left:
        raise ValueError(f"an array of shape {str(shape)[:80]} and {dtype} has {left} bytes")
    array = np.frombuffer(content, dtype, math.prod(shape), file.tell()) if size else np.empty(shape, dtype)
    array = array.reshape(shape, order="F" if fortran else "C")
    return _valid(array)


def _valid(array: np.ndarray) -> np.ndarray:
    """The array, truth values being 0 or 1; raises ValueError for text of codes that are no characters."""
    if array.dtype.kind == "b":
        return array.view(np.uint8) != 0
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(f"{array.dtype.byteorder}u4"))
        if codes.max() > 0x10FFFF:
            raise ValueError("an array of text holds codes that are no characters")
    return array


def _sentence(error: BaseException) -> str:
    """What an error says, as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text[:200]} ..." if len(text) > 200 else text
