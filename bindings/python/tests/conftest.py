"""Finds the built package: PYTHONPATH first, then $CAREFORALL_PYTHON, then the newest build folder."""

import importlib.util
import os
import pathlib
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


def _built():
    chosen = os.environ.get("CAREFORALL_PYTHON")
    if chosen:
        return pathlib.Path(chosen)
    found = [path.parents[1] for path in ROOT.glob("build/*/bindings/python/careforall/_native*.so")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


if importlib.util.find_spec("careforall") is None:
    built = _built()
    if built is None:
        raise RuntimeError("the Python binding is not built: configure with -DCAREFORALL_BINDINGS_PYTHON=ON")
    sys.path.insert(0, str(built))

from careforall import Engine, Money, PlayProvider  # noqa: E402

PATIENCE_S = 120   # only what is broken waits so long


@pytest.fixture
def ctrl_c():
    """Ctrl-C as Python starts with it: whoever started this in the background had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def play():
    return PlayProvider()


@pytest.fixture(params=["memory", "sqlite"])
def engine(request, play, tmp_path):
    if request.param == "memory":
        opened = Engine.memory(provider=play)
    else:
        opened = Engine.sqlite(tmp_path / "book.db", provider=play)
    with opened:
        yield opened


@pytest.fixture
def memory(play):
    with Engine.memory(provider=play) as opened:
        yield opened


@pytest.fixture
def campaign(engine):
    return engine.create_campaign("Clean water", ["EUR"], goal=Money.parse("10000.00 EUR"))
