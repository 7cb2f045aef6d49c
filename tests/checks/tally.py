#!/usr/bin/env python3
"""Print "passed failed" for a JUnit file of ctest: the own counts of libcheck, conformance suites, pytest and go where a
program prints them, else one per program. A program that failed, or is missing, counts at least one failure.

    tally.py FILE.xml              a run of ctest
    tally.py --text FILE STATUS    what one program printed, and its exit code
"""

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
    # go test -v
    (re.compile(r"^--- (PASS|FAIL): ", re.MULTILINE), lambda verdict: (int(verdict == "PASS"), int(verdict == "FAIL"))),
]


def count(output, succeeded):
    passed = failed = 0
    for expression, meaning in COUNTS:
        for match in expression.finditer(output):
            more_passed, more_failed = meaning(*match.groups())
            passed, failed = passed + more_passed, failed + more_failed
    if succeeded:
        return (passed, failed) if passed + failed else (1, 0)
    return passed, max(failed, 1)


def skipped(case):
    """True for a program that said so itself; ctest uses the same element for one that was not built."""
    element = case.find("skipped")
    return element is not None and element.get("message", "").startswith("SKIP_")


def main():
    if sys.argv[1] == "--text":
        with open(sys.argv[2], encoding="utf-8", errors="replace") as file:
            print(*count(file.read(), sys.argv[3] == "0"))
        return
    cases = xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    counts = [count(case.findtext("system-out") or "", case.get("status") == "run")
              for case in cases if not skipped(case)]
    print(sum(passed for passed, _ in counts), sum(failed for _, failed in counts))


if __name__ == "__main__":
    main()
