#!/usr/bin/env python3
"""The soak's judge judged: a small book that is right passes; after each kind of damage it must not.

    soak_control.py BUILD
"""

import contextlib
import io
import pathlib
import shutil
import signal
import sqlite3
import sys
import tempfile

import soak_verify as verify
from soak_support import Book, Donors

DAMAGE = {
    "a captured amount": "UPDATE cfa_payment SET captured_minor = captured_minor + 1 WHERE id = (SELECT min(id) FROM cfa_payment "
                         "WHERE state = 6)",
    "a donation that is forgotten": "UPDATE cfa_payment SET state = 9, captured_minor = 0 WHERE id = (SELECT max(id) FROM "
                                    "cfa_payment WHERE state = 6)",
    "a pledge that is lost": "DELETE FROM cfa_payment WHERE id = (SELECT max(id) FROM cfa_payment WHERE state = 6)",
    "a doubt that never ends": "UPDATE cfa_payment SET flags = flags | 1 WHERE id = (SELECT min(id) FROM cfa_payment)",
    "an operation left open": "UPDATE cfa_operation SET due_us = 9000000000000000 WHERE number = 1 AND payment_id = "
                              "(SELECT min(id) FROM cfa_payment)",
    "a hole in the log": "DELETE FROM cfa_event WHERE position = 7",
    "a wrong total": "UPDATE cfa_totals SET raised_minor = raised_minor + 1",
    "a webhook never drained": "UPDATE cfa_provider_object SET parked_count = drained_count + 1 WHERE ref = (SELECT ref FROM "
                               "cfa_payment WHERE state = 6 LIMIT 1)",
}


def judge(book, donors, damage=None):
    """How much is wrong, as the soak sees it."""
    if damage:
        with contextlib.closing(sqlite3.connect(book.database)) as connection, connection:
            connection.execute(damage)
    verdicts, said = verify.Verdicts(), io.StringIO()
    with contextlib.redirect_stdout(said):
        verify.everything(book, verdicts, donors)
    return verdicts.failed, said.getvalue()


def restart_with(book, saved):
    book.server_program.stop()
    for path in book.folder.glob("book.db*"):
        if not path.name.endswith("token-key"):
            path.unlink()
    for path in saved.iterdir():
        shutil.copy(path, book.folder / path.name)
    book.server_program.start()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that what was started is stopped
    verdicts = verify.Verdicts()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as saved:
        book = Book(sys.argv[1], folder)
        try:
            donors = Donors(book, 60, 8, 1, "control-of-the-soak")
            donors.finish()
            book.settle(160, 27 * 3600, 25 * 3600)
            failed, said = judge(book, donors.lines)
            verdicts.check("a book that is right", [said] if failed else [])
            book.server_program.stop()
            for path in book.folder.glob("book.db*"):
                shutil.copy(path, pathlib.Path(saved))
            book.server_program.start()
            for what, damage in DAMAGE.items():
                restart_with(book, pathlib.Path(saved))
                failed, said = judge(book, donors.lines, damage)
                verdicts.check(f"{what} is not seen", [] if failed else [said])
            restart_with(book, pathlib.Path(saved))
            strange = dict(donors.lines[0], payment_id=donors.lines[1]["payment_id"])
            verdicts.check("a donor with another's payment is not seen", [] if judge(book, [*donors.lines, strange])[0] else [""])
        finally:
            book.close()
    return verdicts.summary()


if __name__ == "__main__":
    sys.exit(main())
