#!/usr/bin/env python3
"""Print why a run failed, in few lines: of each program that failed its name, and what libcheck, a sanitizer, an assertion,
a conformance suite, pytest, go or a compiler said about it; the end of its output where none of them spoke.

    failures.py FILE.xml      a run of ctest
    failures.py --text FILE   what one program printed
"""

import re
import sys
import xml.etree.ElementTree

LINES_MAX, WIDTH_MAX = 10, 300   # of one program; a line
TELLING = re.compile("|".join([
    r"^\S+:-?\d+:[A-Z]:",                                                 # libcheck
    r"^==\d+==ERROR: |^WARNING: ThreadSanitizer|^SUMMARY: |runtime error: ",   # sanitizers ...
    r"^ +#[0-3] 0x\w+ in |^ +#[0-3] \w+ .*:\d+",                           # ... and where
    r": not true: |Assertion .* failed|^not ok ",
    r"^E   |^(?:FAILED|ERROR) \S+::",                                      # pytest
    r"^ *--- FAIL|_test\.go:\d+: ",
    r"(?:^|: )(?:fatal )?error: |^FAILED: ",                               # compilers, ninja
]))


def told(output):
    lines = [line.rstrip()[:WIDTH_MAX] for line in output.splitlines() if line.strip()]
    found = [line for line in lines if TELLING.search(line)]
    if not found:
        return lines[-5:]
    return found if len(found) <= LINES_MAX else found[:LINES_MAX - 3] + ["..."] + found[-2:]


def main():
    if sys.argv[1] == "--text":
        with open(sys.argv[2], encoding="utf-8", errors="replace") as file:
            print(*told(file.read()), sep="\n")
        return
    for case in xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        failure = case.find("failure")
        if failure is None:
            continue
        why = failure.get("message") or "Failed"
        print(case.get("name") + ":" if why == "Failed" else f"{case.get('name')}: {why}")
        print(*("  " + line for line in told(case.findtext("system-out") or "")), sep="\n")


if __name__ == "__main__":
    main()
