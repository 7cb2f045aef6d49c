#!/usr/bin/env python3
"""Lists files over 600 lines, functions over 70 and lines over 120 columns. A hint for reviewers: it never fails."""

import re

from sources import ROOT, blank_comments, files

FILE_LINES, FUNCTION_LINES, COLUMNS = 600, 70, 120
# A function's body: from a line that is an opening brace, or ends in `) {`, to a closing brace in column one.
NAME = re.compile(r"\b(\w+)\s*\([^;]*$")


def functions(lines):
    """Triples of name, first line and number of lines; style puts both outer braces where they can be seen."""
    start = None
    for number, line in enumerate(lines):
        if start is None and line and not line[0].isspace() and line[0] not in "#}/*{":
            head = number
        if start is None and line.startswith("{"):
            start = head
        elif start is not None and line.startswith("}"):
            match = NAME.search(" ".join(lines[start:start + 3]).split("{")[0])
            yield match.group(1) if match else "?", start + 1, number - start + 1
            start = None


def main():
    count = 0
    for path in files("include/**/*.h", "src/**/*.[ch]", "tests/**/*.[ch]", "examples/**/*.[ch]"):
        where = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        if len(lines) > FILE_LINES:
            print(f"{where}: {len(lines)} lines")
            count += 1
        for name, line, length in functions(blank_comments(text).splitlines()):
            if length > FUNCTION_LINES:
                print(f"{where}:{line}: {name} has {length} lines")
                count += 1
        wide = [number for number, line in enumerate(lines, 1) if len(line) > COLUMNS]
        if wide:
            print(f"{where}:{wide[0]}: {len(wide)} lines over {COLUMNS} columns")
            count += 1
    print(f"sizes: {count} hints")


if __name__ == "__main__":
    main()
