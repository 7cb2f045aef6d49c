"""What must be true of money that went back: the provider's refunds and disputes, one by one, against ours; what the desk asked
for and was told against both; and the audit of our own books.
"""

import collections
import subprocess

import soak_verify as verify
from soak_desk import provider_list

SEEN, SUCCEEDED, CANCELED, FAILED, REJECTED = 1, 2, 4, 8, 16   # cfa_refund.durable
ASKED = 1   # cfa_refund.origin
STATUS_FACTS = {"succeeded": SUCCEEDED, "canceled": CANCELED, "failed": FAILED}
GONE_BACK = ("pending", "requires_action", "succeeded")


def refunds(book, verdicts, desk):
    """Each refund of the provider against ours, by its id. Gives what went back of each payment."""
    theirs = {each["id"]: each for each in provider_list(book, "refunds")}
    rows = [(verify.type_id("rfd", row[0]), verify.type_id("pay", row[1]), *row[2:]) for row in book.query(
        "SELECT id, payment_id, amount_minor, ref, origin, durable FROM cfa_refund")]
    ours = {row[3]: row for row in rows if row[3]}
    made = collections.Counter(each["metadata"]["refund_id"] for each in theirs.values() if "refund_id" in each["metadata"])
    verdicts.check("made twice at the provider", (each for each in made.items() if each[1] > 1))
    verdicts.check("refunds at the provider that we do not know", (each for each in theirs if each not in ours))
    verdicts.check("refunds that the provider does not know", (row for row in ours.values() if row[3] not in theirs))
    both = [(theirs[ref], row) for ref, row in ours.items() if ref in theirs]
    verdicts.check("a refund of another amount", (each for each in both if each[0]["amount"] != each[1][2]))
    verdicts.check("a refund that ended otherwise", (each for each in both if each[1][5] & (
        SUCCEEDED | CANCELED | FAILED | REJECTED) != STATUS_FACTS.get(each[0]["status"], 0)))
    verdicts.check("a refund that is neither made nor refused", (row for row in rows if not row[3] and not row[5] & REJECTED))
    verdicts.check("said to be refused, but made", (row for row in rows if not row[3] and row[0] in made))
    asked = {job["told"]: job for job in desk.asked if job["told"]}
    verdicts.check("a wrong answer to a refund", desk.wrong)
    verdicts.expect("refunds that were asked for", set(asked), {row[0] for row in rows if row[4] == ASKED})
    verdicts.check("more than was asked for, or of another payment", (
        row for row in rows if row[0] in asked and (row[1] != asked[row[0]]["payment_id"] or
                                                    row[2] > (asked[row[0]]["minor"] or asked[row[0]]["captured"]))))
    gone = collections.Counter()
    for each, row in both:
        gone[row[1]] += each["amount"] if each["status"] in GONE_BACK else 0
    return gone


def disputes(book, verdicts):
    """The same of disputes. Gives what banks hold of each payment."""
    theirs = {each["id"]: each for each in provider_list(book, "disputes")}
    rows = {row[0]: (verify.type_id("pay", row[1]), *row[2:]) for row in book.query(
        "SELECT ref, payment_id, withdrawn_minor, reinstated_minor FROM cfa_dispute")}
    verdicts.expect("disputes", set(theirs), set(rows))
    wrong, held = [], collections.Counter()
    for ref in theirs.keys() & rows.keys():
        amounts = [each["amount"] for each in theirs[ref]["balance_transactions"]]
        taken, back = -sum(each for each in amounts if each < 0), sum(each for each in amounts if each > 0)
        if rows[ref][1:] != (taken, back):
            wrong.append((ref, rows[ref], taken, back))
        held[rows[ref][0]] += taken - back
    verdicts.check("what a bank took, or gave back", wrong)
    return held


def totals(book, verdicts, gone, held):
    refunded = {each["payment_id"]: each["refunded"] for each in book.panel("payments")["payments"]}
    verdicts.check("refunded otherwise in the provider's sums", (
        each for each, minor in refunded.items() if gone[each] != minor), lambda each: verify.chain(book, each))
    verdicts.check("more went back than came", (each[0] for each in book.query(
        "SELECT hex(id) FROM cfa_payment WHERE refunded_minor > captured_minor")))
    position = book.query("SELECT max(position) FROM cfa_event")[0][0]
    found = next(iter(book.totals(position)["currencies"]), {})
    sums = sum(refunded.values()), sum(held.values())
    verdicts.expect("refunded and disputed", sums, (found.get("refunded_minor"), found.get("disputed_minor")))
    verdicts.expect("net", found["raised_minor"] - sum(sums), found["net_minor"])
    verdicts.expect("sums of the contributions", [sums], book.query(
        "SELECT sum(refunded_minor), sum(disputed_minor) FROM cfa_contribution"))
    rows = book.query("SELECT payment_id, refunded_minor, disputed_minor FROM cfa_contribution")
    verdicts.check("a contribution without what went back", (
        verify.type_id("pay", row[0]) for row in rows
        if row[1:] != (gone[verify.type_id("pay", row[0])], held[verify.type_id("pay", row[0])])),
                   lambda each: verify.chain(book, each))
    return sums


def audit(book, verdicts):
    """The book's own word, from its own rows."""
    done = subprocess.run([book.server_program.command[0], "audit", "--database", str(book.database)],
                          capture_output=True, text=True, check=False)
    verdicts.check("the audit", [] if done.returncode == 0 else [f"{done.returncode}: {done.stdout[:4000]}{done.stderr}"])


def money(book, verdicts, desk):
    gone, held = refunds(book, verdicts, desk), disputes(book, verdicts)
    sums = totals(book, verdicts, gone, held)
    print(f"  {dict(desk.counts)}; {sums[0]} refunded, {sums[1]} disputed", flush=True)


def everything(book, verdicts, desk):
    money(book, verdicts, desk)
    audit(book, verdicts)
