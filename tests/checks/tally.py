#!/usr/bin/env python3
"""Print "passed failed skipped" for a JUnit file of ctest: the own counts of libcheck, conformance suites, pytest and go
where a program prints them, else one per program. A program that failed, or is missing, counts at least one failure; one
that leaves with 77 could not be tried here and counts as skipped.

    tally.py FILE.xml              a run of ctest
    tally.py --text FILE STATUS    what one program printed, and its exit code
"""

import re
import sys
import xml.etree.ElementTree

SKIPPED = 77

COUNTS = [
    (re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.MULTILINE),
     lambda checks, failures, errors: (int(checks) - int(failures) - int(errors), int(failures) + int(errors), 0)),
    (re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE), lambda passed, failed: (int(passed), int(failed), 0)),
    # pytest
    (re.compile(r"^(?:(\d+) failed)?(?:, )?(?:(\d+) passed)?(?:, )?(?:(\d+) skipped)?.* in [\d.]+s", re.MULTILINE),
     lambda failed, passed, skipped: (int(passed or 0), int(failed or 0), int(skipped or 0))),
    # go test -v
    (re.compile(r"^--- (PASS|FAIL|SKIP): ", re.MULTILINE),
     lambda verdict: (int(verdict == "PASS"), int(verdict == "FAIL"), int(verdict == "SKIP"))),
]


def count(output, succeeded):
    total = [0, 0, 0]
    for expression, meaning in COUNTS:
        for match in expression.finditer(output):
            total = [old + more for old, more in zip(total, meaning(*match.groups()))]
    passed, failed, skipped_count = total
    if succeeded:
        return (passed, failed, skipped_count) if any(total) else (1, 0, 0)
    return passed, max(failed, 1), skipped_count


def skipped(case):
    """True for a program that said so itself; ctest uses the same element for one that was not built."""
    element = case.find("skipped")
    return element is not None and element.get("message", "").startswith("SKIP_")


def main():
    if sys.argv[1] == "--text":
        status = int(sys.argv[3])
        with open(sys.argv[2], encoding="utf-8", errors="replace") as file:
            print(*((0, 0, 1) if status == SKIPPED else count(file.read(), status == 0)))
        return
    cases = xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    counts = [(0, 0, 1) if skipped(case) else count(case.findtext("system-out") or "", case.get("status") == "run")
              for case in cases]
    print(*(sum(column) for column in zip((0, 0, 0), *counts)))


if __name__ == "__main__":
    main()
