#!/usr/bin/env python3
"""Print "passed failed" for a JUnit file of ctest: the own counts of libcheck, conformance suites and pytest where a
program prints them, else one per program. A program that failed, or is missing, counts at least one failure."""

import re
import sys
import xml.etree.ElementTree

COUNTS = [
    (re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.MULTILINE),
     lambda checks, failures, errors: (int(checks) - int(failures) - int(errors), int(failures) + int(errors))),
    (re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE), lambda passed, failed: (int(passed), int(failed))),
    # pytest
    (re.compile(r"^(?:(\d+) failed, )?(?:(\d+) passed)?.* in [\d.]+s", re.MULTILINE),
     lambda failed, passed: (int(passed or 0), int(failed or 0))),
]


def count(case):
    passed = failed = 0
    output = case.findtext("system-out") or ""
    for expression, meaning in COUNTS:
        for match in expression.finditer(output):
            more_passed, more_failed = meaning(*match.groups())
            passed, failed = passed + more_passed, failed + more_failed
    if case.get("status") == "run":
        return (passed, failed) if passed + failed else (1, 0)
    return passed, max(failed, 1)   # "fail", or "notrun": its program is missing


def skipped(case):
    """True for a program that said so itself; ctest uses the same element for one that was not built."""
    element = case.find("skipped")
    return element is not None and element.get("message", "").startswith("SKIP_")


def main():
    cases = xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    counts = [count(case) for case in cases if not skipped(case)]
    print(sum(passed for passed, _ in counts), sum(failed for _, failed in counts))


if __name__ == "__main__":
    main()
