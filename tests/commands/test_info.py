from __future__ import annotations

import jax
from command_line import runner

import jaxclnf


def test_the_version_is_said(monkeypatch, capfd) -> None:
    outcome = runner(monkeypatch, capfd)("--version")
    assert (outcome.status, outcome.out.strip()) == (0, jaxclnf.__version__)


def test_info_says_what_a_report_needs(monkeypatch, capfd) -> None:
    out = runner(monkeypatch, capfd)("info").out
    for what in ("jaxclnf", "jax ", "devices", "native code", "model", "OpenFace", "cache"):
        assert f"\n{what}" in "\n" + out
    assert jaxclnf.__version__ in out and jax.__version__ in out


def test_info_names_the_folder_of_openfaces_models(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("OPENFACE_MODELS_DIR", str(tmp_path))
    assert f"OpenFace    {tmp_path}/2.2.0, which does not exist" in runner(monkeypatch, capfd)("info").out
    model = tmp_path / "2.2.0/derived/jaxclnf/1/openface-general.npz"
    model.parent.mkdir(parents=True)
    model.touch()
    assert f"OpenFace    {tmp_path}/2.2.0, openface-general\n" in runner(monkeypatch, capfd)("info").out


def test_info_says_what_is_kept_and_where(tmp_path, monkeypatch, capfd) -> None:
    run = runner(monkeypatch, capfd)
    assert "cache       off" in run("info").out
    monkeypatch.setenv("JAXCLNF_CACHE_DIR", str(tmp_path))
    (tmp_path / "entry").write_bytes(bytes(3_000_000))
    assert f"cache       {tmp_path}, 3 MB" in run("info").out
    tmp_path.chmod(0o777)
    assert "cache       no: " in run("info").out
