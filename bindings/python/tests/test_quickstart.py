"""The Python quickstart prints what its twins in C and Go print."""

import os
import pathlib
import subprocess
import sys

from conftest import PATIENCE_S

import careforall

ROOT = pathlib.Path(__file__).resolve().parents[3]


def run_quickstart(path):
    package = str(pathlib.Path(careforall.__file__).parents[1])
    return subprocess.run(
        [sys.executable, str(ROOT / "examples/python/quickstart.py"), str(path)], capture_output=True, text=True,
        timeout=PATIENCE_S, env={**os.environ, "PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1"})


def test_quickstart_prints_the_expected_lines(tmp_path):
    done = run_quickstart(tmp_path / "book.db")
    assert done.stderr == ""
    assert done.stdout == (ROOT / "examples/quickstart.expected").read_text()
    assert done.returncode == 0


def test_quickstart_can_be_run_again_on_the_same_file(tmp_path):
    first, second = run_quickstart(tmp_path / "book.db"), run_quickstart(tmp_path / "book.db")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
