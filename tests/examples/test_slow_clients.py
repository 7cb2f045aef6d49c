"""Five thousand slow connections do not slow pledges down. CAREFORALL_SLOW_SECONDS=60 for the full time."""

import os
import pathlib
import subprocess
import sys

import pytest

from conftest import BINARY

SCRIPT = pathlib.Path(__file__).resolve().parent / "slow_clients.py"


def test_slow_connections_do_not_slow_pledges_down():
    binary = pathlib.Path(BINARY).read_bytes()
    if b"__asan_init" in binary or b"__tsan_init" in binary:
        pytest.skip("a checked build's times are not the server's")
    seconds = os.environ.get("CAREFORALL_SLOW_SECONDS", "10")
    for _ in range(3):   # other work on the machine is not the server's either
        done = subprocess.run([sys.executable, str(SCRIPT), "--seconds", seconds, BINARY], capture_output=True, text=True,
                              timeout=600, check=False)
        print(done.stdout)
        if done.returncode == 77:
            pytest.skip(done.stdout.strip())
        if done.returncode == 0:
            return
    assert done.returncode == 0, done.stdout + done.stderr
