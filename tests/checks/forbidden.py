#!/usr/bin/env python3
"""Names that must not appear in the sources, each with its reason and the files it is allowed in.

    forbidden.py               check the tree
    forbidden.py --self-test   plant each name and see it found
"""

import pathlib
import re
import sys
import tempfile

from sources import ROOT, blank_comments, files, finish

SHIPPED = ("include/", "src/")
PROGRAMS = ("include/", "src/", "examples/", "bindings/")

# (names, are they calls, folders, files that may, reason)
RULES = [
    ("strcpy strcat sprintf vsprintf gets strtok stpcpy", True, PROGRAMS, (), "writes without a bound"),
    ("atoi atol atoll atof", True, PROGRAMS, (), "cannot report an error"),
    ("rand srand random srandom drand48", True, PROGRAMS, (), "randomness comes from the platform"),
    ("localtime mktime ctime asctime gmtime", True, SHIPPED, (), "time is integers in UTC"),
    ("sleep usleep", True, SHIPPED, (), "waiting is done on a condition, with a deadline"),
    ("exit _exit abort system popen", True, SHIPPED, (), "the host's process is not ours to end or fork"),
    ("signal sigaction", True, SHIPPED, (), "signals belong to the host"),
    ("malloc calloc realloc free strdup strndup asprintf", True, SHIPPED, ("src/util/alloc.c",),
     "memory goes through cfa_alloc, cfa_realloc and cfa_free"),
    ("float double", False, SHIPPED, (), "amounts and times are integers"),
]


def expression(names, calls):
    words = "|".join(names.split())
    # A member of a struct (`ops->free(`) is not the libc function.
    return re.compile(rf"(?<![\w.>])({words})\s*\(" if calls else rf"\b({words})\b")


def check(root):
    paths = [path for path in files("include/**/*.h", "src/**/*.[ch]", "examples/**/*.[ch]",
                                    "bindings/**/*.[ch]", root=root)
             if not path.name.endswith("_wrap.c")]   # what SWIG writes is not ours to style
    problems = []
    for path in paths:
        where = path.relative_to(root).as_posix()
        text = blank_comments(path.read_text(encoding="utf-8"))
        for names, calls, folders, excepted, reason in RULES:
            if not where.startswith(folders) or where in excepted:
                continue
            for match in expression(names, calls).finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{where}:{line}: {match.group(1)}: {reason}")
    return problems, len(paths)


def self_test():
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        (root / "src/util").mkdir(parents=True)
        planted = [(name, calls) for names, calls, *_ in RULES for name in names.split()]
        (root / "src/bad.c").write_text("".join(
            f"{name}{' (x);' if calls else ' value;'}\n" for name, calls in planted))
        (root / "src/util/alloc.c").write_text("free(x);\n")
        (root / "src/good.c").write_text(
            '/* strcpy(a, b) */ "malloc(1)"; ops->free(x); my_malloc(1); self.free(x); doubled(x);\n')
        found = {problem.split(": ")[0] for problem in check(root)[0]}
    wanted = {f"src/bad.c:{number}" for number in range(1, len(planted) + 1)}
    problems += [f"{place}: planted name not found" for place in sorted(wanted - found)]
    problems += [f"{place}: sound line refused" for place in sorted(found - wanted)]
    finish("forbidden --self-test", problems, f"{len(wanted)} planted names")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    problems, count = check(ROOT)
    finish("forbidden", problems, f"{count} files")
