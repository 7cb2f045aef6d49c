#!/usr/bin/env python3
"""Print "passed failed" for a JUnit file of ctest: libcheck's and the conformance suites' own counts where a program
prints them, else one per program. A program that failed counts at least one failure."""

import re
import sys
import xml.etree.ElementTree

COUNTS = [
    (re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.MULTILINE),
     lambda checks, failures, errors: (checks - failures - errors, failures + errors)),
    (re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE), lambda passed, failed: (passed, failed)),
]


def count(case):
    passed = failed = 0
    output = case.findtext("system-out") or ""
    for expression, meaning in COUNTS:
        for match in expression.finditer(output):
            more_passed, more_failed = meaning(*map(int, match.groups()))
            passed, failed = passed + more_passed, failed + more_failed
    if case.get("status") == "run":
        return (passed, failed) if passed + failed else (1, 0)
    return passed, max(failed, 1)   # "fail", or "notrun": its program is missing


def main():
    cases = xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    counts = [count(case) for case in cases if case.get("status") != "disabled" and case.find("skipped") is None]
    print(sum(passed for passed, _ in counts), sum(failed for _, failed in counts))


if __name__ == "__main__":
    main()
