#!/usr/bin/env python3
"""Each public header compiles alone, twice in a row and all together, as C99 and as C++11, with gcc and clang,
without a warning; every _INIT macro initialises its struct in both languages."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from sources import ROOT, files, finish

INCLUDE = ROOT / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Werror", "-pedantic-errors"]
COMPILERS = [(name, ["-std=c99", "-x", "c", "-Wstrict-prototypes"]) for name in ("gcc", "clang")]
COMPILERS += [(name, ["-std=c++11", "-x", "c++"]) for name in ("g++", "clang++")]
INIT = re.compile(r"^#define (CFA_\w+_INIT)\b.*?sizeof\((\w+)\)", re.MULTILINE | re.DOTALL)


def translation_units(headers):
    """Pairs of a name and a source text."""
    names = [header.relative_to(INCLUDE).as_posix() for header in headers]
    for header, name in zip(headers, names):
        text = header.read_text(encoding="utf-8")
        # The struct's name is the macro's, so a macro that spans the next one's sizeof is caught.
        inits = [(macro, "c" + macro[1:-5].lower()) for macro, _ in INIT.findall(text)]
        body = "".join(f"{kind} {macro.lower()}_value = {macro};\n{kind} *{macro.lower()}_get(void);\n"
                       f"{kind} *{macro.lower()}_get(void) {{ return &{macro.lower()}_value; }}\n"
                       for macro, kind in inits)
        yield name, f"#include <{name}>\n#include <{name}>\n{body}int used;\n"
    yield "all headers together", "".join(f"#include <{name}>\n" for name in names) + "int used;\n"


def main():
    headers = files("include/**/*.h")
    problems = []
    runs = 0
    with tempfile.TemporaryDirectory() as scratch:
        for compiler, flags in COMPILERS:
            if not shutil.which(compiler):
                print(f"{compiler} is not here: skipped")
                continue
            for name, text in translation_units(headers):
                unit = pathlib.Path(scratch) / "unit"
                unit.write_text(text)
                runs += 1
                result = subprocess.run([compiler, *flags, *WARNINGS, f"-I{INCLUDE}", "-fsyntax-only", str(unit)],
                                        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
                if result.returncode != 0:
                    problems.append(f"{name} ({compiler}):\n{result.stderr}")
    if runs == 0:
        problems.append("no compiler found")
    finish("headers", problems, f"{len(headers)} headers, {runs} compilations")


if __name__ == "__main__":
    main()
