#!/usr/bin/env python3
"""The shared libraries export exactly what the public headers declare, each symbol with the version node.

    exports.py BUILD            check the libraries in the folder BUILD
    exports.py BUILD --update   write exports.txt: do this when a function was added, and read the difference
"""

import pathlib
import re
import subprocess
import sys

from sources import ROOT, blank_comments, files, finish

LIST = pathlib.Path(__file__).with_name("exports.txt")
LIBRARIES = ("careforall", "careforall-sqlite", "careforall-stripe", "careforall-testkit")
NODE = "CAREFORALL_0.1"
DECLARATION = re.compile(r"\bCFA_API\b[^;{(]*?\b(cfa_\w+)\s*\(")
PRIVATE = re.compile(r"\b(cfa__\w+)")


def home(header):
    """The library whose header this is."""
    path = header.relative_to(ROOT / "include/careforall").as_posix()
    if path.startswith("testkit/"):
        return "careforall-testkit"
    if path in ("adapters/sqlite.h", "adapters/stripe.h"):
        return f"careforall-{pathlib.Path(path).stem}"
    return "careforall"


def declared(problems):
    names = set()
    for header in files("include/**/*.h"):
        text = blank_comments(header.read_text(encoding="utf-8"))
        names.update(f"{home(header)} {name}" for name in DECLARATION.findall(text))
        problems.extend(f"{header.name}: names the internal {name}" for name in sorted(set(PRIVATE.findall(text))))
    return names


def exported(build, problems):
    names = set()
    for library in LIBRARIES:
        path = build / f"lib{library}.so"
        if not path.exists():
            problems.append(f"{path.name}: not built")
            continue
        dynamic = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
        if f"[lib{library}.so.0.1]" not in dynamic:
            problems.append(f"{path.name}: its SONAME is not lib{library}.so.0.1")
        listing = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True, text=True)
        for line in listing.stdout.splitlines():
            kind, symbol = line.split()[-2:]
            name, _, node = symbol.partition("@@")
            if kind == "A":   # the version node itself
                continue
            if kind != "T" or not re.fullmatch(r"cfa_[a-z]\w*", name):
                problems.append(f"{path.name}: exports {symbol} ({kind})")
            elif node != NODE:
                problems.append(f"{path.name}: {name} has the version '{node}', not {NODE}")
            names.add(f"{library} {name}")
    return names


def main():
    problems = []
    promised = declared(problems)
    found = exported(pathlib.Path(sys.argv[1]), problems)
    problems += [f"{entry}: declared, not exported" for entry in sorted(promised - found)]
    problems += [f"{entry}: exported, not declared in its library's header" for entry in sorted(found - promised)]
    if "--update" in sys.argv[2:]:
        LIST.write_text("".join(f"{entry}\n" for entry in sorted(promised)))
    listed = set(LIST.read_text().splitlines()) if LIST.exists() else set()
    problems += [f"{entry}: gone, though exports.txt promises it" for entry in sorted(listed - promised)]
    problems += [f"{entry}: new in the headers; run exports.py with --update" for entry in sorted(promised - listed)]
    finish("exports", problems, f"{len(found)} symbols")


if __name__ == "__main__":
    main()
