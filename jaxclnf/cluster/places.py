"""Places of the files that a cluster reads and writes: local folders, and addresses that fsspec knows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from jaxclnf.media.addresses import here, is_address
from jaxclnf.models.npz import in_one_line
from jaxclnf.whole_files import written_whole


class Unreachable(ValueError):
    """What a store says of an address that cannot be used; nothing that lies there is known to be damaged."""


@contextmanager
def told_of(address: str, done: str) -> Iterator[None]:
    """Raise any error as `Unreachable`, which says that the address cannot be ``done``, and why.

    Stores have libraries of their own, whose errors are of any kind, and many of which name no file.
    """
    try:
        yield
    except Unreachable:
        raise
    except Exception as error:
        said = in_one_line(f"{type(error).__name__}: {error}").removesuffix(":")
        raise Unreachable(f"{address} cannot be {done}: {said}") from None


def file_system(address: str) -> tuple[Any, str]:
    """Find the fsspec file system of an address, and the path in it; raises `Unreachable`."""
    with told_of(address, "reached"):
        import fsspec

        return fsspec.core.url_to_fs(address)


def is_there(address: str) -> bool:
    """Tell whether something lies at an address now; raises `Unreachable`."""
    with told_of(address, "looked at"):
        system, path = file_system(address)
        system.invalidate_cache()
        return system.exists(path)


def copy_to(file: Path, address: str) -> None:
    """Copy what lies at an address to a file on this machine; raises `Unreachable`."""
    with told_of(address, "copied"):
        system, path = file_system(address)
        system.get_file(path, str(file))


@contextmanager
def copied(address: str) -> Iterator[Path]:
    """Give a small file as one on this machine: a copy, or the file itself if it is here already."""
    if not is_address(address):
        yield Path(here(address))
        return
    _, path = file_system(address)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        copy_to(copy, address)
        yield copy


class Store:
    """The folder of a run, local or on an object store; files in it appear whole or not at all.

    ``place`` is a path or an address. A store can be sent to other machines, which must see the same place.
    At an address, all that it does may raise `Unreachable`.
    """

    def __init__(self, place: str) -> None:
        place = here(place)
        self.folder = None if is_address(place) else Path(place).absolute()
        """The local folder, if it is one."""
        self.place = str(self.folder or place.rstrip("/"))

    def at(self, name: str) -> str:
        """Give the path or address of a file in the folder."""
        return f"{self.place}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        self.write_lines(name, [data])

    def write_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Write a file whose content comes line by line."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file"
            with file.open("wb") as written:
                written.writelines(lines)
            self.put(file, name)

    def put(self, file: Path, name: str) -> None:
        """Copy a file into the store."""
        if self.folder is None:
            with told_of(self.at(name), "written"):
                _put_far(file, self.at(name))
            return
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            shutil.copyfile(file, part)

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """Give an empty folder whose files are copied into the store at the end, with their sub-folders."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            yield folder
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    self.put(file, file.relative_to(folder).as_posix())

    def exists(self, name: str) -> bool:
        """Tell whether a file exists."""
        if self.folder is not None:
            return (self.folder / name).exists()
        return is_there(self.at(name))

    def read(self, name: str) -> bytes:
        """Read a small file."""
        if self.folder is not None:
            return (self.folder / name).read_bytes()
        with told_of(self.at(name), "read"):
            system, path = file_system(self.at(name))
            with system.open(path, "rb") as file:
                return file.read()

    def lines(self, name: str) -> Iterator[bytes]:
        """Read a file line by line."""
        if self.folder is not None:
            with (self.folder / name).open("rb") as file:
                yield from file
            return
        with told_of(self.at(name), "read"):
            system, path = file_system(self.at(name))
            with system.open(path, "rb") as file:
                yield from file

    def names(self, folder: str = "") -> list[str]:
        """List the names in a folder, in order and without hidden ones; none if there is no folder."""
        if self.folder is not None:
            place = self.folder / folder
            found = [each.name for each in place.iterdir()] if place.is_dir() else []
        else:
            found = self._names_far(folder)
        return sorted(name for name in found if name and not name.startswith("."))

    def _names_far(self, folder: str) -> list[str]:
        with told_of(self.at(folder).rstrip("/"), "listed"):
            system, path = file_system(self.at(folder))
            system.invalidate_cache()
            listed = system.ls(path, detail=False) if system.exists(path) else []
            return [each.rstrip("/").rpartition("/")[2] for each in listed]

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        if self.folder is not None:
            (self.folder / name).unlink(missing_ok=True)
            return
        with told_of(self.at(name), "removed"):
            system, path = file_system(self.at(name))
            if system.exists(path):
                system.rm_file(path)


_SHOW_WHOLE_FILES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"}
"""Object stores: a file is seen there once it has arrived."""


def _put_far(file: Path, address: str) -> None:
    system, path = file_system(address)
    folder, _, name = path.rpartition("/")
    if address.partition("://")[0] in _SHOW_WHOLE_FILES:
        system.put_file(str(file), path)
        return
    part = f"{folder}/.{name}.{uuid4().hex[:12]}.part"
    system.makedirs(folder, exist_ok=True)
    system.put_file(str(file), part)
    system.mv(part, path)
