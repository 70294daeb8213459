"""Arrays in a .npz that is not trusted: nothing is unpickled, memory is bounded, a checksum covers all.

NumPy's own reader trusts the sizes that a file claims; here a file is refused unless every member has the
length that its header says.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxclnf.models.memory_budget import Budget
from jaxclnf.whole_files import named, written_whole

_FACTOR = 64
"""Memory granted for each byte of a file, which is compressed: OpenFace's models need up to 49, mostly
for arrays that are computed from it."""
_KINDS = "biufU"  # bool, integers, floating-point numbers, text
_MAX_HEADER = 1000  # characters of a member's header; NumPy writes less than 130
_UNFINISHED = ".jaxclnf-*.npz.unfinished"  # which runs in its folder leave alone
_MEMBER = 1000  # bytes that a member costs beside its content


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = True) -> None:
    """Write arrays and their checksum to one file, whole or not at all.

    Raises ValueError if the folder does not exist, and OSError, which names the file, as of a full disk.
    """
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):  # a folder, a device
        raise ValueError(f"{path}: not a place for a file, expected a file name in a folder that exists")
    write = np.savez_compressed if compress else np.savez
    with named(path), written_whole(path, _UNFINISHED) as unfinished, unfinished.open("xb") as file:
        write(file, **arrays, checksum=np.array(checksum(arrays)))  # type: ignore[arg-type]


def read_checked(path: Path, budget: Budget) -> dict[str, np.ndarray]:
    """Read the arrays that `write_arrays` wrote; raises ValueError if anything has changed since."""
    arrays = read_arrays(path, budget)
    if "checksum" not in arrays:
        raise ValueError("'checksum' is missing")
    if str(arrays.pop("checksum")) != checksum(arrays):
        raise ValueError("the checksum does not match, the file is damaged")
    return arrays


def read_arrays(path: Path, budget: Budget) -> dict[str, np.ndarray]:
    """Read all arrays of a file, read-only; their memory is taken from ``budget``.

    Raises ValueError if the file is not a .npz of numbers and text, is damaged or takes too much memory.
    """
    budget.grant(path, _FACTOR)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            budget.take(sum(m.file_size + _MEMBER for m in members), "its arrays")
            return {m.filename.removesuffix(".npy"): _array(_content(archive, m)) for m in members}
    except Exception as error:  # damaged zip files and headers raise errors of any kind
        raise ValueError(in_one_line(str(error) or type(error).__name__)) from None


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Compute the SHA-256 over names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member's bytes; raises ValueError unless there are as many as its entry says."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename[:80]!r} is compressed in another way than deflated")
    with archive.open(member) as file:
        content = file.read(member.file_size)
    if len(content) != member.file_size:
        raise ValueError(f"{member.filename[:80]!r} is cut short")
    return content


def _array(content: bytes) -> np.ndarray:
    """Interpret a .npy file's bytes as an array, without a copy."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is not in version 1.0 of NumPy's format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise ValueError(f"an array holds {str(dtype)[:40]}, expected numbers or text")
    size, left = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if min(shape, default=0) < 0 or size != left:
        raise ValueError(f"an array of shape {str(shape)[:80]} and {dtype} has {left} bytes")
    array = np.frombuffer(content, dtype, math.prod(shape), file.tell()) if size else np.empty(shape, dtype)
    array = array.reshape(shape, order="F" if fortran else "C")
    return _valid(array)


def _valid(array: np.ndarray) -> np.ndarray:
    """Make truth values 0 or 1; raises ValueError for text with codes that are not characters."""
    if array.dtype.kind == "b":
        return array.view(np.uint8) != 0
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(f"{array.dtype.byteorder}u4"))
        if codes.max() > 0x10FFFF:
            raise ValueError("an array of text holds codes that are not characters")
    return array


def in_one_line(text: str) -> str:
    """Make one short line of what an error says."""
    text = " ".join(text.split())
    return f"{text[:200]} ..." if len(text) > 200 else text
