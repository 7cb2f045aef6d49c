"""Every exported C function is wrapped, or skipped for a reason that is written down."""

import pathlib
import re

from careforall import native

try:
    from careforall import stripe_native
except ImportError:
    stripe_native = None

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEADERS = [path for path in (ROOT / "include/careforall").rglob("*.h") if "testkit" not in path.parts]


def exported():
    names = set()
    for path in HEADERS:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        for declaration in re.findall(r"^CFA_API\b[^;]*?;", text, flags=re.DOTALL | re.MULTILINE):
            names.add(re.search(r"\b(cfa_\w+)\s*\(", declaration).group(1))
    return names


def wrapped(name):
    plain = name.removeprefix("cfa_")
    if name.startswith("cfa_stripe_"):
        return stripe_native is None or hasattr(stripe_native, plain)
    return hasattr(native, plain)


def skipped():
    reasons = {}
    for line in (ROOT / "bindings/swig/skipped.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            reasons[name] = reason.strip()
    return reasons


def test_every_exported_function_is_wrapped_or_skipped():
    reasons = skipped()
    prefixes = tuple(name[:-1] for name in reasons if name.endswith("*"))
    missing = {name for name in exported() if not wrapped(name) and name not in reasons
               and not name.startswith(prefixes)}
    assert missing == set()


def test_the_headers_were_read():
    assert len(exported()) > 150


def test_nothing_is_skipped_without_need():
    names, reasons = exported(), skipped()
    assert all(reasons.values())
    for name in reasons:
        if name.endswith("*"):
            assert any(one.startswith(name[:-1]) for one in names), name
        else:
            assert name in names, name
            assert not wrapped(name), name
