#!/usr/bin/env python3
"""Arrows point one way: every include line against the layers of the design.

    layers.py               check the tree
    layers.py --self-test   plant one violation of every rule in a scratch tree and see each found
"""

import pathlib
import re
import sys
import tempfile

from sources import ROOT, blank_comments, files, finish

PURE_C = {"assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h",
          "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h"}
THREADS = {"pthread.h", "time.h", "unistd.h", "fcntl.h", "poll.h", "sys/epoll.h", "sys/eventfd.h", "sys/types.h"}
SYSTEM = PURE_C | THREADS | {"signal.h", "setjmp.h", "sched.h", "dirent.h", "sys/random.h", "sys/stat.h",
                             "sys/file.h", "sys/mman.h", "sanitizer/asan_interface.h", "sys/time.h", "sys/uio.h", "sys/wait.h"}

PUBLIC = r"careforall/(?!adapters/|testkit/).*"
ANY_PUBLIC = r"careforall/(?!testkit/).*"

# (folder, system headers, other headers by their path from include/ or src/); the first match decides.
LAYERS = [
    ("include/careforall/testkit", {"stddef.h", "stdint.h", "stdbool.h"}, [r"careforall/(?!adapters/).*"]),
    ("include/careforall/adapters", {"stddef.h", "stdint.h", "stdbool.h"}, [PUBLIC]),
    ("include/careforall", {"stddef.h", "stdint.h", "stdbool.h"}, [PUBLIC]),
    ("src/util/json.c", SYSTEM | {"jansson.h"}, [r"careforall/(base|error|sys/platform)\.h", r"util/.*"]),
    ("src/util/secure.c", SYSTEM | {"sodium.h"}, [r"careforall/(base|error|sys/platform)\.h", r"util/.*"]),
    ("src/util", SYSTEM, [r"careforall/(base|error|sys/platform)\.h", r"util/.*"]),
    ("src/core/decide", PURE_C, [PUBLIC, r"core/(?!engine/|api/|explain/).*", r"util/.*"]),
    ("src/core/audit", PURE_C, [PUBLIC, r"core/(?!engine/|api/|explain/).*", r"util/.*"]),
    ("src/core/engine", PURE_C | THREADS | {"signal.h"}, [PUBLIC, r"core/(?!api/|explain/).*", r"util/.*"]),
    ("src/core/explain", PURE_C, [PUBLIC, r"core/.*", r"util/.*"]),
    ("src/core/reconcile", PURE_C, [PUBLIC, r"core/(?!explain/|audit/).*", r"util/.*"]),
    ("src/core", PURE_C | THREADS, [PUBLIC, r"core/.*", r"util/.*"]),
    ("src/adapters/sqlite", SYSTEM | {"sqlite3.h"}, [ANY_PUBLIC, r"util/.*", r"adapters/(sql|sqlite)/.*"]),
    ("src/adapters/sql", SYSTEM, [ANY_PUBLIC, r"util/.*", r"adapters/sql/.*"]),
    ("src/adapters/memory", SYSTEM, [ANY_PUBLIC, r"util/.*", r"adapters/memory/.*"]),
    ("src/adapters/stripe", SYSTEM | {"curl/curl.h", "strings.h", "sys/epoll.h"},
     [ANY_PUBLIC, r"util/.*", r"adapters/stripe/.*"]),
    ("src/adapters/play", SYSTEM, [ANY_PUBLIC, r"util/.*", r"adapters/play/.*"]),
    ("src/adapters/ndjson", SYSTEM, [ANY_PUBLIC, r"util/.*", r"adapters/ndjson/.*"]),
    ("src/testkit", SYSTEM, [r"careforall/(?!adapters/).*", r"testkit/.*"]),
]

# Hosts: any third-party header, any file of their own, nothing private of ours.
HOSTS = ["examples", "bindings"]

INCLUDE = re.compile(r"^[ \t]*[#%][ \t]*(?:include|import)[ \t]*([<\"])([^>\"\n]+)[>\"]", re.MULTILINE)


def includes(path):
    text = blank_comments(path.read_text(encoding="utf-8"), strings=False)
    if path.suffix == ".go":   # cgo's C is a Go comment
        text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) == '"', match.group(2)


def resolve(root, path, quoted, name):
    """The header's path from include/ or src/, or None for a header that is not of this tree."""
    places = [path.parent] if quoted else []
    for base in places + [root / "src", root / "include"]:
        target = (base / name).resolve()
        if target.is_file():
            for top in ("src", "include"):
                if target.is_relative_to(root / top):
                    return top, target.relative_to(root / top).as_posix()
            return "own", target.relative_to(root).as_posix()
    return None, name


def allowed(root, path, quoted, name):
    where = path.relative_to(root).as_posix()
    top, resolved = resolve(root, path, quoted, name)
    if where.split("/")[0] in HOSTS:
        return top != "src"
    for folder, system, own in LAYERS:
        if where == folder or where.startswith(folder + "/"):
            if top is None:
                return not quoted and name in system
            if quoted and top == "include":
                return False   # public headers are included as <careforall/...>
            return any(re.fullmatch(pattern, resolved) for pattern in own)
    return False   # a new folder of src/ states its layer above first


def check(root):
    paths = files("include/**/*.h", "src/**/*.[ch]", "examples/**/*.[ch]",
                  *(f"bindings/**/*.{suffix}" for suffix in ("c", "h", "i", "go")), root=root)
    problems = [f"{path.relative_to(root)}:{line}: must not include {name}"
                for path in paths for line, quoted, name in includes(path)
                if not allowed(root, path, quoted, name)]
    return problems, len(paths)


PLANTED = {
    "include/careforall/base.h": ["<time.h>", "<careforall/adapters/a.h>"],
    "src/util/text.c": ["<jansson.h>", '"core/records.h"', "<careforall/engine.h>"],
    "src/core/records.c": ["<sqlite3.h>", "<jansson.h>", '"adapters/sql/driver.h"', "<careforall/adapters/a.h>"],
    "src/core/decide/pledge.c": ['"core/engine/queue.h"', '"core/api/view.h"', "<pthread.h>", "<time.h>"],
    "src/core/audit/log.c": ['"core/engine/engine.h"', '"core/api/view.h"', "<pthread.h>"],
    "src/core/engine/queue.c": ['"core/api/view.h"', '"careforall/base.h"', '"core/explain/story.h"'],
    "src/core/reconcile/compare.c": ["<pthread.h>", '"core/audit/audit.h"', '"adapters/sql/driver.h"'],
    "src/core/explain/story.c": ["<pthread.h>", '"adapters/sql/driver.h"'],
    "src/adapters/sql/store.c": ["<sqlite3.h>", '"core/records.h"', '"adapters/sqlite/driver.h"'],
    "src/adapters/sqlite/driver.c": ["<libpq-fe.h>", '"adapters/memory/store.h"', '"core/engine/queue.h"'],
    "src/testkit/clock.c": ['"util/text.h"', "<check.h>"],
    "src/novel/thing.c": ["<stdint.h>"],
    "examples/server/main.c": ['"../../src/util/text.h"', "<core/records.h>"],
    "bindings/go/careforall.go": ["<util/text.h>"],
}
SOUND = {
    "include/careforall/engine.h": ["<stdint.h>", "<careforall/base.h>"],
    "include/careforall/adapters/a.h": ["<careforall/engine.h>"],
    "src/util/json.c": ["<jansson.h>", '"util/text.h"'],
    "src/util/text.h": ["<careforall/base.h>"],
    "src/core/records.h": ["<careforall/engine.h>", '"util/text.h"'],
    "src/core/api/view.h": ['"core/engine/queue.h"'],
    "src/core/engine/queue.h": ["<pthread.h>"],
    "src/adapters/memory/store.h": ["<stdlib.h>"],
    "src/adapters/sql/driver.h": ["<careforall/sys/../base.h>"],
    "src/adapters/sqlite/driver.h": ["<sqlite3.h>", '"adapters/sql/driver.h"'],
    "examples/server/other.c": ["<uv.h>", "<careforall/base.h>"],
}


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch).resolve()
        for name, lines in {**PLANTED, **SOUND}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"#include {line}\n" for line in lines) + "/* #include <x.h> */\n")
        found = {problem.split(": ")[0] for problem in check(root)[0]}
    wanted = {f"{name}:{number}" for name, lines in PLANTED.items() for number in range(1, len(lines) + 1)}
    problems = [f"{place}: planted violation not found" for place in sorted(wanted - found)]
    problems += [f"{place}: sound line refused" for place in sorted(found - wanted)]
    finish("layers --self-test", problems, f"{len(wanted)} planted violations")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    problems, count = check(ROOT)
    finish("layers", problems, f"{count} files")
