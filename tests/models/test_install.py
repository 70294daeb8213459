"""OpenFace's models come from a server that fails in every way, or from a folder; only whole files stay."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from openface_files import write_cen_model, write_model
from shared_data import shared
from typer.testing import CliRunner

from jaxclnf.commands.models import models as app
from jaxclnf.models.download import from_server
from jaxclnf.models.fetch import from_folder
from jaxclnf.models.install import install, installed, licence_text
from jaxclnf.models.manifest import Manifest, RemoteFile, read_cen_manifest, read_manifest
from jaxclnf.models.opening import open_model
from jaxclnf.models.storage import save_model

BROKEN = "lib/model/ccnf whole 1.txt"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENFACE_MODELS_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "2.2.0"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small stand-in for OpenFace's repository."""
    write_model(tmp_path / "repository" / "lib" / "model")
    (tmp_path / "repository" / "licence.txt").write_text("For research alone.")
    return tmp_path / "repository"


@pytest.fixture
def manifest(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    paths = sorted(path for path in repository.rglob("*") if path.is_file())
    files = [
        RemoteFile(
            path.relative_to(repository).as_posix(),
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in paths
    ]
    small = Manifest(
        "2.2.0", "http://nowhere.invalid", "licence.txt", {"small": "lib/model/main.txt"}, tuple(files)
    )
    for module in ("manifest", "install", "opening"):
        monkeypatch.setattr(f"jaxclnf.models.{module}.read_manifest", lambda: small)
    return small


class Server(ThreadingHTTPServer):
    """Serves a folder on loopback; ``fault`` says how it mistreats the file BROKEN, and how often."""

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.fault, self.faults_left = root, "", 10**9
        self.asked: list[tuple[str, str | None]] = []  # path and range

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        from urllib.parse import unquote

        path, wanted = unquote(self.path).lstrip("/"), self.headers["Range"]
        self.server.asked.append((path, wanted))
        content = (self.server.root / path).read_bytes()
        fault = self.server.fault if path == BROKEN and self.server.faults_left > 0 else ""
        self.server.faults_left -= bool(fault)
        if fault in ("404", "503"):
            self.send_error(int(fault))
            return
        if fault == "dripping headers":
            self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + bytes(1000))
            return
        if fault == "wrong":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if fault == "long":
            content += b"x" * 1000
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fault != "no ranges" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if fault in ("cut", "slow", "no ranges"):
            self.wfile.write(content[start : start + 300])
            time.sleep(1 if fault == "slow" else 0)
            self.close_connection = True
        elif fault == "drip":
            self._drip(content[start:])
        else:
            self.wfile.write(content[start:])

    def _drip(self, content: bytes) -> None:
        """Send a byte every now and then, so that no read times out, for two seconds."""
        self.close_connection = True
        with suppress(OSError):
            for byte in content[:40]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    with Server(repository) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.releases
def test_models_are_downloaded_checked_and_converted(
    manifest: Manifest, server: Server, data_folder: Path
) -> None:
    came: list[int] = []
    paths = install(manifest, from_server(server.url), came.append)
    assert sum(came) == manifest.size
    assert paths == installed(manifest) == {"small": data_folder / "derived" / "jaxclnf" / "1" / "small.npz"}
    assert open_model("small").pdm.n_points == 6
    assert not list(data_folder.rglob("*.part"))
    before = len(server.asked)
    install(manifest, from_server(server.url))
    assert len(server.asked) == before  # what is there is not fetched again


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("404", "the server answers 404 Not Found"),
        ("503", "the server answers 503"),
        ("wrong", "its SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}; it was not kept"),
        ("long", "sends more than the expected"),
        ("no ranges", "broke off .*; run the command again"),
        ("slow", "silent for 0.2 s .*; run the command again"),
        ("drip", "sent less than 16384 bytes in 0.4 s; run the command again"),
        ("dripping headers", "sent less than 16384 bytes in 0.4 s; run the command again"),
    ],
)
def test_failures_are_named_in_one_sentence(
    manifest: Manifest, server: Server, data_folder: Path, fault: str, sentence: str
) -> None:
    server.fault = fault
    with pytest.raises(ValueError, match=sentence) as caught:
        install(manifest, from_server(server.url, timeout=0.2))
    assert "ccnf whole 1.txt" in str(caught.value) and "\n" not in str(caught.value)
    assert not installed(manifest) and not (data_folder / "originals" / BROKEN).exists()
    server.fault = ""
    install(manifest, from_server(server.url))
    assert list(installed(manifest)) == ["small"]


def test_a_broken_download_goes_on_where_it_stopped(
    manifest: Manifest, server: Server, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxclnf.models.download._CHUNK", 100)
    server.fault, server.faults_left = "cut", 5
    size = next(file.size for file in manifest.files if file.path == BROKEN)
    assert size and size > 2000
    came: list[int] = []
    with pytest.raises(ValueError, match="broke off"):
        install(manifest, from_server(server.url), came.append)
    assert (data_folder / "originals" / f"{BROKEN}.part").stat().st_size == 900
    install(manifest, from_server(server.url), came.append)
    ranges = [wanted for path, wanted in server.asked if path == BROKEN]
    assert ranges == [None, "bytes=300-", "bytes=600-", "bytes=900-", "bytes=1200-", "bytes=1500-"]
    assert list(installed(manifest)) == ["small"]


@pytest.mark.parametrize(("rest", "faults"), [(b"other bytes", 2), (b"x" * 100_000, 0)])
def test_a_rest_of_no_use_is_thrown_away(
    manifest: Manifest, server: Server, data_folder: Path, rest: bytes, faults: int
) -> None:
    """A server without ranges sends all anew; more bytes than the file has cannot be its beginning."""
    unfinished = data_folder / "originals" / f"{BROKEN}.part"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(rest)
    server.fault, server.faults_left = "no ranges", faults
    came: list[int] = []
    install(manifest, from_server(server.url), came.append)
    assert sum(came) == manifest.size and list(installed(manifest)) == ["small"]


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_no_link_is_followed(
    manifest: Manifest, server: Server, repository: Path, data_folder: Path, tmp_path: Path, link
) -> None:
    """Someone may have put a link where an unfinished file goes: what it leads to stays as it is."""
    (tmp_path / "precious").write_text("precious")
    for fetch in (from_server(server.url), from_folder(repository)):
        for file in manifest.files:
            unfinished = data_folder / "originals" / f"{file.path}.part"
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            link(unfinished, tmp_path / "precious")
        install(manifest, fetch)
        assert (tmp_path / "precious").read_text() == "precious" and list(installed(manifest)) == ["small"]
        shutil.rmtree(data_folder)


def test_a_server_that_is_not_there_is_named(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="http://127.0.0.1:9/licence.txt: no connection"):
        licence_text(manifest, from_server("http://127.0.0.1:9", timeout=0.2))
    for address in ("nonsense", "ftp://server", "http://[::1"):
        with pytest.raises(ValueError, match="licence.txt: not an address of a file, expected one such as"):
            licence_text(manifest, from_server(address))


@pytest.mark.parametrize("below", ["", "lib", "lib/model"])
def test_models_come_from_a_folder_too(manifest: Manifest, repository: Path, below: str) -> None:
    """The repository itself, or a folder in it: a release holds the models only."""
    install(manifest, from_folder(repository / below))
    assert list(installed(manifest)) == ["small"]


def test_a_folder_without_the_files_or_with_others_is_refused(manifest: Manifest, repository: Path) -> None:
    with pytest.raises(ValueError, match="elsewhere: holds no lib/model/ccnf part 2.txt"):
        install(manifest, from_folder(repository.parent / "elsewhere"))
    (repository / BROKEN).write_bytes(b"other")
    with pytest.raises(ValueError, match="ccnf whole 1.txt: it has 5 bytes, expected [0-9]+; it was"):
        install(manifest, from_folder(repository))


def test_damaged_files_are_replaced(manifest: Manifest, repository: Path, data_folder: Path) -> None:
    install(manifest, from_folder(repository))
    (data_folder / "originals" / BROKEN).write_bytes(b"damaged")
    install(manifest, from_folder(repository))
    assert (data_folder / "originals" / BROKEN).read_bytes() == (repository / BROKEN).read_bytes()


@pytest.mark.releases
def test_the_licence_is_shown_and_must_be_accepted(manifest: Manifest, server: Server) -> None:
    run = CliRunner().invoke
    declined = run(app, ["install", "--base-url", server.url], input="n\n")
    assert "For research alone." in declined.output and isinstance(declined.exception, ValueError)
    assert [path for path, _ in server.asked] == ["licence.txt"] and not installed(manifest)
    assert "small  not installed" in run(app, ["list"]).output
    accepted = run(app, ["install", "--base-url", server.url], input="y\n")
    assert accepted.exit_code == 0 and "For research alone." in accepted.output
    assert str(installed(manifest)["small"]) in run(app, ["list"]).output


def test_installation_without_questions(manifest: Manifest, repository: Path) -> None:
    result = CliRunner().invoke(app, ["install", "--from", str(repository), "--accept-license"])
    assert result.exit_code == 0 and list(installed(manifest)) == ["small"]


def test_models_are_opened_by_name_npz_and_openfaces_files(
    manifest: Manifest, repository: Path, tmp_path: Path
) -> None:
    main = repository / "lib" / "model" / "main.txt"
    with pytest.raises(ValueError, match="small is not installed: .*jaxclnf models install"):
        open_model("small")
    with pytest.raises(ValueError, match="there is no model 'large'"):
        open_model("large")
    save_model(open_model(main), tmp_path / "model with another suffix")
    assert open_model(str(tmp_path / "model with another suffix")).provenance.name == "main"
    (tmp_path / "damaged.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="not a whole model file"):
        open_model(tmp_path / "damaged.npz")


def test_cen_experts_come_from_their_own_addresses_and_are_used_as_they_are(
    manifest: Manifest, server: Server, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cen_model(repository / "cen", n_points=6)
    large = RemoteFile("model/cen_0.dat", (repository / "cen" / "cen_0.dat").stat().st_size)
    large = replace(large, url=f"{server.url}/cen/cen_0.dat")
    files = [
        RemoteFile(f"model/{p.name}", url=f"{server.url}/cen/{p.name}")
        for p in (repository / "cen").iterdir()
    ]
    files = [large if file.path == large.path else file for file in files]
    cen = Manifest("2.2.0", "", "", {"ceclm": "model/main_ceclm.txt"}, tuple(files), converted=False)
    monkeypatch.setattr("jaxclnf.models.opening.read_cen_manifest", lambda: cen)
    with pytest.raises(ValueError, match="ceclm is not installed: .*jaxclnf models install cen"):
        open_model("ceclm")
    paths = install(cen, from_server(server.url))
    assert paths["ceclm"].name == "main_ceclm.txt"
    assert open_model("ceclm").early_termination is not None
    paths["ceclm"].with_name("cen_0.dat").write_bytes(b"other")
    (repository / "cen" / "cen_0.dat").write_bytes(b"other")
    with pytest.raises(ValueError, match="ended after 5 of [0-9]+ bytes"):
        install(cen, from_server(server.url))


def test_the_manifest_of_cen_experts() -> None:
    cen, base = read_cen_manifest(), read_manifest()
    assert cen.size - base.size == 2 * (60_602_360 + 154_289_792)
    own = [file for file in cen.files if file.url]
    assert len(own) == 4
    assert all(file.url and file.url.startswith("https://www.dropbox.com/s/") for file in own)
    assert not any(file.url for file in cen.from_one_place().files)


def test_openfaces_own_files_are_those_of_the_manifest() -> None:
    source, manifest = shared("openface"), read_manifest()
    assert manifest.base_url.startswith(
        "https://raw.githubusercontent.com/TadasBaltrusaitis/OpenFace/OpenFace_2.2.0"
    )
    install(manifest, from_folder(source))
    assert list(installed(manifest)) == ["openface-general", "openface-wild"]
    general = open_model("openface-general")
    assert [part.name for part in general.parts] == ["inner", "left_eye_28", "right_eye_28"]
