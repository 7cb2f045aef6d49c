"""What must be true of a book when everything has settled. The sandbox's books are the truth about money; the server's tables,
its log of events and its totals are compared with them, payment by payment. Every mismatch shows its whole chain.
"""

import collections
import json
import subprocess

MISMATCHES_SHOWN = 3
STATES = ["", "PENDING", "REQUIRES_ACTION", "PROCESSING", "AUTHORIZED", "CAPTURED", "COMPLETED", "FAILED", "CANCELED", "EXPIRED"]
COMPLETED, CANCELED, EXPIRED = 6, 8, 9
FLAG_UNKNOWN, FLAG_CONFLICT, FLAG_LATE = 1, 2, 8
OPERATION_STATES = ["", "READY", "UNKNOWN", "DONE", "REFUSED", "CLOSED", "DEFERRED"]
CALLS = ["", "CREATE", "CAPTURE", "CANCEL", "RETRIEVE", "LOOKUP", "REFUND"]
VERDICTS = ["", "APPLIED", "DUPLICATE", "STALE", "PARKED", "IGNORED", "QUARANTINED", "CONTRADICTION"]
CIRCUIT_NEXT = {"": ("unavailable",), "unavailable": ("probed", "available"), "probed": ("unavailable", "available"),
                "available": ("unavailable",)}
BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def type_id(prefix, blob):
    number = int.from_bytes(blob, "big")
    return prefix + "_" + "".join(BASE32[number >> shift & 31] for shift in range(125, -5, -5))


def blob_of(text):
    number = 0
    for letter in text.split("_", 1)[1]:
        number = number << 5 | BASE32.index(letter)
    return number.to_bytes(16, "big")


class Verdicts:
    """Counts what held and what did not, and prints the latter."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, wrong, show=str):
        wrong = list(wrong)
        if not wrong:
            self.passed += 1
            return True
        self.failed += 1
        print(f"WRONG: {what}: {len(wrong)}", flush=True)
        for each in wrong[:MISMATCHES_SHOWN]:
            print("  " + show(each), flush=True)
        return False

    def expect(self, what, truth, found):
        """One value."""
        return self.check(what, [] if truth == found else [f"expected {truth}, found {found}"])

    def summary(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0


def time_of(book, moment_us):
    return f"{(moment_us - book.started_us) / 1e6:+.3f}s" if moment_us else "never"


def chain(book, payment_id):
    """Everything that both sides know of a payment, in order."""
    blob = blob_of(payment_id)
    lines = [payment_id]
    try:
        lines.append("books: " + json.dumps(book.panel(f"payments/{payment_id}")))
    except RuntimeError as missing:
        lines.append(f"books: {missing}")
    for row in book.query("SELECT state, flags, durable, amount_minor, captured_minor, ref, origin_ref, created_us, expires_us, "
                          "volatile_fact, failure_code FROM cfa_payment WHERE id = ?", blob):
        lines.append(f"payment {STATES[row[0]]} flags {row[1]} durable {row[2]} amount {row[3]} captured {row[4]} ref {row[5]} from "
                     f"{row[6]} created {time_of(book, row[7])} expires {time_of(book, row[8])} volatile {row[9]} {row[10]}")
    for row in book.query("SELECT number, call, attempt, state, due_us, lease_owner, tries, first_sent_us, last_sent_us, outcome, "
                          "stored, code, created_us, updated_us FROM cfa_operation WHERE payment_id = ? ORDER BY number", blob):
        lines.append(f"operation {row[0]} {CALLS[row[1]]} attempt {row[2]} {OPERATION_STATES[row[3]]} due {time_of(book, row[4])} "
                     f"{'leased ' if row[5] and any(row[5]) else ''}tries {row[6]} first sent {time_of(book, row[7])} last "
                     f"{time_of(book, row[8])} outcome {row[9]} stored {row[10]} {row[11]} created {time_of(book, row[12])} "
                     f"updated {time_of(book, row[13])}")
    for row in book.query("SELECT number, from_state, to_state, rule, implied, created_us FROM cfa_transition WHERE payment_id = ? "
                          "ORDER BY number", blob):
        lines.append(f"step {row[0]} {STATES[row[1]]} -> {STATES[row[2]]} {row[3]}{' implied' if row[4] else ''} at "
                     f"{time_of(book, row[5])}")
    for row in book.query("SELECT event_id, event_type, ref, verdict, received_us FROM cfa_webhook WHERE payment_id = ? "
                          "ORDER BY received_us", blob):
        lines.append(f"webhook {row[0]} {row[1]} about {row[2]}: {VERDICTS[row[3]]} at {time_of(book, row[4])}")
    return "\n    ".join(lines)


# ---- payments -----------------------------------------------------------------------------------


def payments(book, verdicts, donors, settled=True):
    """Each payment against the books; what donors were told against both. With `settled` nothing may be left to do."""
    def show(payment_id):
        return chain(book, payment_id)

    books = {each["payment_id"]: each for each in book.panel("payments")["payments"]}
    ours = {type_id("pay", row[0]): row[1:] for row in book.query(
        "SELECT id, state, flags, amount_minor, captured_minor, pledge_id FROM cfa_payment")}
    verdicts.check("charged twice", (each for each, row in books.items()
                                     if row["captures"] > 1 or row["charges"] > 1 or row["captured"] > row["amount"]), show)
    verdicts.check("in the provider's books, not in ours", (each for each in books if each not in ours), str)
    verdicts.check("another amount at the provider", (
        each for each, row in books.items() if each in ours and row["amount"] != ours[each][2]), show)
    paid = {each: row["captured"] for each, row in books.items() if row["captures"]}
    verdicts.check("paid, but not COMPLETED with that amount", (
        each for each, minor in paid.items() if each in ours and (ours[each][0], ours[each][3]) != (COMPLETED, minor)), show)
    verdicts.check("said to be paid, but not paid", (
        each for each, row in ours.items() if (row[0] in (5, 6) or row[3]) and each not in paid), show)
    verdicts.check("a conflict, or paid too late", (each for each, row in ours.items() if row[1] & (FLAG_CONFLICT | FLAG_LATE)), show)
    told = {each["payment_id"]: each for each in donors}
    verdicts.expect("donors with one payment", len(donors), len(told))
    verdicts.check("acknowledged, but lost", (each for each, donor in told.items() if each not in ours or
                                              ours[each][2] != donor["minor"] or
                                              type_id("plg", ours[each][4]) != donor["pledge_id"]), show)
    verdicts.check("the donor paid, the books do not know it", (
        each for each, donor in told.items() if donor["paid"] and each not in paid), show)
    verdicts.check("the donor did not pay, but was charged", (
        each for each, donor in told.items() if not donor["paid"] and each in paid), show)
    verdicts.check("nobody was told of it, but it was paid", (each for each in paid if each not in told), show)
    if settled:
        verdicts.check("neither paid nor called off after its time", (
            each for each, row in ours.items() if each not in paid and row[0] not in (CANCELED, EXPIRED)), show)
        verdicts.check("in doubt for ever", (each for each, row in ours.items() if row[1] & FLAG_UNKNOWN), show)
        verdicts.check("operations left open", (type_id("pay", row[0]) for row in book.query(
            "SELECT DISTINCT payment_id FROM cfa_operation WHERE due_us <> 0 OR state NOT IN (3, 4, 5)")), show)
    return paid, ours


def totals(book, verdicts, paid, settled=True):
    position = book.query("SELECT max(position) FROM cfa_event")[0][0]
    found = next(iter(book.totals(position)["currencies"]), {})
    verdicts.expect("raised", sum(paid.values()), found.get("raised_minor"))
    verdicts.expect("donations counted", len(paid), found.get("donation_count"))
    if settled:
        verdicts.expect("still pledged", (0, 0), (found.get("pledged_minor"), found.get("authorized_minor")))
    sums = book.query("SELECT sum(raised_minor), sum(raised_minor > 0), sum(pledged_minor) FROM cfa_contribution")[0]
    kept = book.query("SELECT raised_minor, donation_count, pledged_minor FROM cfa_totals")
    verdicts.expect("sum of the contributions", [sums], kept)
    wrong = book.query("SELECT c.payment_id FROM cfa_contribution c JOIN cfa_payment p ON p.id = c.payment_id "
                       "WHERE c.raised_minor <> p.captured_minor OR c.state <> p.state OR c.sequence <> p.sequence")
    verdicts.check("a contribution that is not its payment's", (type_id("pay", row[0]) for row in wrong),
                   lambda each: chain(book, each))
    verdicts.expect("contributions", book.query("SELECT count(*) FROM cfa_payment")[0][0],
                    book.query("SELECT count(*) FROM cfa_contribution")[0][0])


# ---- webhooks -----------------------------------------------------------------------------------


def webhooks(book, verdicts, lost=False):
    rows = book.query("SELECT ref, parked_count, drained_count, payment_id FROM cfa_provider_object WHERE parked_count > drained_count")
    verdicts.check("parked webhooks that were never drained", (row for row in rows if row[3] is not None),
                   lambda row: f"{row[:3]} " + chain(book, type_id("pay", row[3])))
    verdicts.check("parked webhooks of objects that nobody knows", (row for row in rows if row[3] is None),
                   lambda row: f"{row} {book.query('SELECT * FROM cfa_webhook WHERE ref = ?', row[0])}")
    verdicts.check("quarantined or contradicting webhooks", book.query(
        "SELECT event_id, event_type, ref, verdict FROM cfa_webhook WHERE verdict IN (6, 7)"))
    deliveries = book.panel("books")["deliveries"]
    verdicts.expect("webhooks that the provider still wants to send", 0, deliveries["due"])
    verdicts.expect("webhooks that the provider gave up", 0, deliveries["gave_up"])
    if not lost:
        verdicts.expect("lost webhooks", 0, deliveries["lost"])


# ---- the log ------------------------------------------------------------------------------------


def outbox_list(book, after, limit):
    """Positions of the newest events as an operator sees them, or what the command says instead."""
    done = subprocess.run([book.server_program.command[0], "outbox", "list", "--database", str(book.database), "--after",
                           str(after), "--limit", str(limit), "--json"], capture_output=True, text=True, check=False)
    return [each["position"] for each in json.loads(done.stdout)["events"]] if done.returncode == 0 else done.stderr


def event_log(book, verdicts, once=True):
    """Dense positions, dense sequences per subject, lawful walks, and a file that has every event in order, exactly once if
    nothing was killed."""
    count, first, last = book.query("SELECT count(*), min(position), max(position) FROM cfa_event")[0]
    verdicts.expect("positions without a gap", (1, count), (first, last))
    verdicts.check("sequences with a gap", book.query(
        "SELECT subject_kind, hex(subject_id), count(*), max(sequence) FROM cfa_event GROUP BY subject_kind, subject_id "
        "HAVING count(*) <> max(sequence) OR min(sequence) <> 1"))
    verdicts.check("a walk with a gap", (type_id("pay", row[0]) for row in book.query(
        "WITH step AS (SELECT payment_id, subject_id, number, to_state, from_state, lag(to_state, 1, 0) OVER each AS before "
        "FROM cfa_transition WINDOW each AS (PARTITION BY payment_id, subject_id ORDER BY number)) "
        "SELECT payment_id FROM step WHERE from_state <> before UNION SELECT p.id FROM cfa_payment p WHERE p.state IS NOT "
        "(SELECT to_state FROM cfa_transition WHERE payment_id = p.id AND subject_id IS NULL ORDER BY number DESC LIMIT 1) "
        "UNION SELECT p.id FROM cfa_payment p WHERE p.transition_count IS NOT "
        "(SELECT max(number) FROM cfa_transition WHERE payment_id = p.id)")),
                   lambda each: chain(book, each))
    verdicts.expect("outbox list", list(range(max(1, last - 999), last + 1)), outbox_list(book, max(0, last - 1000), 1000))
    ids, circuit, wrong_repeat = {}, [""], []
    for line in book.events.read_text().splitlines():
        event = json.loads(line)
        if event["id"] in ids:
            if ids[event["id"]] != line:
                wrong_repeat.append(line)
            continue
        ids[event["id"]] = line
        if ".provider." in event["type"]:
            circuit.append(event["type"].split(".")[3])
    verdicts.check("an event repeated with other bytes", wrong_repeat)
    known = [type_id("evt", row[0]) for row in book.query("SELECT id FROM cfa_event ORDER BY position")]
    verdicts.expect("events in the file, in the order of their commits", True, known == list(ids))
    if once:
        verdicts.expect("lines of the file", count, len(book.events.read_text().splitlines()))
    steps = [(before, after) for before, after in zip(circuit, circuit[1:]) if after not in CIRCUIT_NEXT[before]]
    verdicts.check("steps of the breaker that the table forbids", steps)
    verdicts.expect("the breaker's last word", True, circuit[-1] in ("", "available"))
    return collections.Counter(circuit[1:])


def server_log(book, verdicts):
    lines = [json.loads(line) for line in (book.folder / "server.log").read_text(errors="replace").splitlines()
             if line.startswith("{")]
    verdicts.check("engine errors in the log", (line for line in lines if line["event"] == "engine_error" and
                                                line.get("code") in ("cfa_ebug", "cfa_ecorrupt", "cfa_enomem", "cfa_emisuse")))
    return collections.Counter(line["event"] for line in lines)


def everything(book, verdicts, donors, once=True, lost=True):
    paid, ours = payments(book, verdicts, donors)
    totals(book, verdicts, paid)
    webhooks(book, verdicts, lost)
    circuit = event_log(book, verdicts, once)
    logged = server_log(book, verdicts)
    print(f"  {len(ours)} payments, {len(paid)} paid, {sum(paid.values())} raised; breaker {dict(circuit)}; log {dict(logged)}",
          flush=True)
