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
import soak_verify_desk as verify_desk
from soak_desk import Desk, provider, provider_list
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
    "a refund that is forgotten": "DELETE FROM cfa_refund WHERE id = (SELECT min(id) FROM cfa_refund WHERE ref IS NOT NULL)",
    "a refund of another amount": "UPDATE cfa_refund SET amount_minor = amount_minor + 1 WHERE id = (SELECT min(id) "
                                 "FROM cfa_refund)",
    "a refund that is said to have failed": "UPDATE cfa_refund SET durable = 9 WHERE id = (SELECT max(id) FROM cfa_refund WHERE "
                                            "durable = 3)",
    "a refund that is never made": "UPDATE cfa_refund SET ref = NULL, durable = 0 WHERE id = (SELECT max(id) FROM cfa_refund)",
    "a wrong total of refunds": "UPDATE cfa_totals SET refunded_minor = refunded_minor - 1",
    "a wrong total of disputes": "UPDATE cfa_totals SET disputed_minor = disputed_minor + 1",
    "a dispute that is forgotten": "DELETE FROM cfa_dispute WHERE id = (SELECT min(id) FROM cfa_dispute)",
    "money that a bank did not give back": "UPDATE cfa_dispute SET reinstated_minor = withdrawn_minor - 1 WHERE id = "
                                           "(SELECT max(id) FROM cfa_dispute)",
}


def judge(book, donors, desk, damage=None):
    """How much is wrong, as the soak sees it; without the audit, which is judged by its own tests and sees most of it too."""
    if damage:
        with contextlib.closing(sqlite3.connect(book.database)) as connection, connection:
            if not connection.execute(damage).rowcount:
                raise RuntimeError(f"damages nothing: {damage}")
    verdicts, said = verify.Verdicts(), io.StringIO()
    with contextlib.redirect_stdout(said):
        verify.everything(book, verdicts, donors)
        verify_desk.money(book, verdicts, desk)
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
        desk = Desk(book, 1, share=0.5)
        try:
            donors = Donors(book, 60, 8, 1, "control-of-the-soak")
            donors.finish()
            book.settle(160)
            desk.phase(outside=True)
            desk.watch(donors.lines)
            desk.finish()
            book.settle(160, 27 * 3600, 25 * 3600)
            failed, said = judge(book, donors.lines, desk)
            verdicts.check("a book that is right", [said] if failed else [])
            book.server_program.stop()
            for path in book.folder.glob("book.db*"):
                shutil.copy(path, pathlib.Path(saved))
            book.server_program.start()
            for what, damage in DAMAGE.items():
                restart_with(book, pathlib.Path(saved))
                failed, said = judge(book, donors.lines, desk, damage)
                verdicts.check(f"{what} is not seen", [] if failed else [said])
            restart_with(book, pathlib.Path(saved))
            strange = dict(donors.lines[0], payment_id=donors.lines[1]["payment_id"])
            failed, said = judge(book, [*donors.lines, strange], desk)
            verdicts.check("a donor with another's payment is not seen", [] if failed else [said])
            parts = {job["told"] for job in desk.asked if job["minor"]}   # of these something is left
            first = next(each for each in provider_list(book, "refunds") if
                         each["metadata"].get("refund_id") in parts)
            again = {f"metadata[{name}]": value for name, value in first["metadata"].items()}
            status, answer = provider(book, "POST", "/v1/refunds", charge=first["charge"], amount=1, **again)
            verdicts.expect(f"a second refund, to be seen: {answer}", 200, status)
            book.settle()
            failed, said = judge(book, donors.lines, desk)
            verdicts.check("a refund that was made twice is not seen", [] if "made twice" in said else [said])
        finally:
            desk.stop()
            book.close()
    return verdicts.summary()


if __name__ == "__main__":
    sys.exit(main())
