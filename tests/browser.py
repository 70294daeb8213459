"""Pages in a headless Chromium; tests that open them are skipped, saying so, where there is none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest


def chromium() -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium, which is not installed")
    return program


def in_browser(page: Path, *options: str) -> str:
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"]
    command += [f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout


def probed(page: Path, script: str) -> dict:
    """What a script, run on the page, has put into ``seen``."""
    text = page.read_text(encoding="utf-8")
    probe = f"""<script>addEventListener("load", async () => {{
      const seen = {{}}; {script}
      document.body.innerHTML = "<pre id=seen>" + JSON.stringify(seen) + "</pre>";
    }})</script></body>"""
    page.write_text(text.replace("</body>", probe), encoding="utf-8")
    # The browser's virtual time does not wait for a picture to be decoded, and may run out before.
    looks = (re.findall(r'<pre id="seen">(.*?)</pre>', in_browser(page, "--dump-dom")) for _ in range(8))
    return json.loads(next(filter(None, looks))[0])
