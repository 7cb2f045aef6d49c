"""The official Stripe package for Go talks to the sandbox unmodified, also when replies are lost and requests reset."""

import os
import pathlib
import shutil
import subprocess

import pytest

from sandbox_support import start  # noqa: F401

SOURCE = pathlib.Path(__file__).with_name("sandbox_sdk")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not shutil.which("go"):
        pytest.skip("no Go here")
    out = tmp_path_factory.mktemp("go") / "sandbox_sdk"
    built = subprocess.run(["go", "build", "-o", str(out), "."], cwd=SOURCE, capture_output=True, text=True,
                           timeout=600, env={**os.environ, "GOFLAGS": "-mod=readonly"})
    if "dial tcp" in built.stderr or "no such host" in built.stderr:
        pytest.skip("the Go package cannot be fetched")
    assert built.returncode == 0, built.stderr
    return str(out)


@pytest.mark.parametrize("faults", [[], ["--fault", "reply_lost=15%", "--fault", "reset_after=10%"]])
def test_the_go_package_takes_a_donation(program, start, faults):  # noqa: F811
    version = subprocess.run([program], capture_output=True, text=True, timeout=60).stdout.strip()
    sandbox = start("--api-version", version, "--seed", "3", *faults)
    done = subprocess.run([program, sandbox.url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "good\n", done
    row = sandbox.panel("payments/go")
    assert (row["intents"], row["captures"], row["refunded"]) == (1, 1, 500)
    assert sandbox.books()["charged_twice"] == 0
