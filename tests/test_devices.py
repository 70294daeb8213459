"""Batches over several devices; the test's process sees one, so another one is made that sees eight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_eight_devices_find_what_one_does() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    script = Path(__file__).with_name("on_eight_devices.py")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["devices"] == 8
    assert told["shards"] == [2] * 8
    assert told["sharded"] < 1e-3 and told["streamed"] < 1e-3
    assert told["status"] == [0] * 11
    assert "8 devices to divide them" in told["error"]
