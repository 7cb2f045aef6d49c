#!/usr/bin/env python3
"""Is every conformance vector what docs/vectors.md says: known members, names told once, a fixed layout, and
whatever can be known of it without the library?

    check.py               check the files of this folder
    check.py --write       bring them into the fixed layout first
    check.py --self-test   plant faults and see each found
"""

import base64
import copy
import hashlib
import hmac
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "checks"))
from sources import ROOT, finish  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = 120
EXACT_IN_DOUBLE = 2**53 - 1
STATES = "PENDING REQUIRES_ACTION PROCESSING AUTHORIZED CAPTURED COMPLETED FAILED CANCELED EXPIRED".split()
VERDICTS = "APPLIED DUPLICATE STALE PARKED IGNORED QUARANTINED CONTRADICTION".split()
FACTS = "SUCCEEDED CANCELED EXPIRED FRAUD_WARNING NEEDS_ACTION PROCESSING FAILED SETTLED".split()
FLAGS = "UNKNOWN CONFLICT SETTLED LATE FRAUD_WARNING HELD".split()
REFUNDS = "REQUESTED PENDING REQUIRES_ACTION SUCCEEDED FAILED CANCELED REJECTED".split()
DISPUTES = "INQUIRY INQUIRY_CLOSED OPEN UNDER_REVIEW PREVENTED WON LOST".split()
LATE_RULES = "ACCEPT REFUSE REFUND HOLD".split()
BUCKETS = [f"{name}_minor" for name in ("pledged", "authorized", "raised", "refunded", "disputed")]


class Fault(Exception):
    pass


def need(condition, *words):
    if not condition:
        raise Fault(" ".join(str(word) for word in words))


# ---- what values look like -------------------------------------------------------------------------------

def text(value):
    need(isinstance(value, str), "no text:", value)


def name(value):
    text(value)
    need(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}", value), "a name is letters, digits and -:", value)


def integer(value):
    need(type(value) is int and -2**63 <= value < 2**63, "no 64-bit integer:", value)


def count(value):
    integer(value)
    need(value >= 0, "negative:", value)


def yes(value):
    need(value is True, "is true, or left out:", value)


def boolean(value):
    need(isinstance(value, bool), "neither true nor false:", value)


def status(value):
    need(isinstance(value, str) and value in statuses(), "no status of error.h:", value)


def statuses():
    header = (ROOT / "include/careforall/error.h").read_text(encoding="utf-8")
    return set(re.findall(r"X\((CFA_\w+), -?\d+,", header))


def one_of(*words):
    def check(value):
        need(value in words, "none of", *words, ":", value)
    return check


def maybe(kind):
    def check(value):
        if value is not None:
            kind(value)
    return check


def list_of(kind):
    def check(value):
        need(isinstance(value, list), "no array:", value)
        for item in value:
            kind(item)
    return check


def members(required, optional=()):
    """An object with these members and no others; both are mappings from a name to a kind."""
    optional = dict(optional)

    def check(value):
        need(isinstance(value, dict), "no object:", value)
        for key in required:
            need(key in value, "lacks", key)
        for key, item in value.items():
            need(key in required or key in optional, "unknown member", key)
            try:
                (required[key] if key in required else optional[key])(item)
            except Fault as fault:
                raise Fault(f"{key}: {fault}") from None
    return check


money = members({"minor": integer, "currency": text})

# ---- the files -----------------------------------------------------------------------------------------------

HEAD = {"name": name}
NOTES = {"about": text, "wide": yes}
REFUSAL = {"status": status, "field": text}


def refused_or(required, outcome):
    """Either what comes out, or the status and field of the refusal."""
    def check(value):
        refused = isinstance(value, dict) and value.get("status", "CFA_OK") != "CFA_OK"
        if refused:
            members({**HEAD, **required, **REFUSAL}, NOTES)(value)
        else:
            members({**HEAD, **required, **outcome}, {**NOTES, "status": status})(value)
    return check


money_file = {
    "currencies": refused_or({"currency": text}, {"exponent": count}),
    "parse": refused_or({"text": text}, {"amount": money, "formatted": text}),
    "check": refused_or({"rules": one_of("iso", "stripe"), "amount": money}, {"status": status}),
    "arithmetic": lambda value: refused_or(
        {"operation": one_of("add", "subtract", "compare"), "left": money, "right": money},
        {"order": one_of(-1, 0, 1)} if value.get("operation") == "compare" else {"result": money})(value),
}

PLEDGE = {"campaign": one_of(0, 1), "amount": money, "scope": maybe(text), "payment_method": maybe(text),
          "donor_reference": maybe(text), "donor_name": maybe(text), "donor_email": maybe(text),
          "donor_message": maybe(text), "visibility": one_of("PUBLIC", "OWNER", "HIDDEN"),
          "return_url": maybe(text), "cancel_url": maybe(text), "traceparent": maybe(text)}
CAMPAIGN = {"title": text, "currencies": text, "goal": maybe(money), "deadline_us": count,
            "late_rule": one_of(*LATE_RULES), "scope": maybe(text)}
KIND = one_of("pledge", "campaign")
RESULT = {"result": one_of("same", "new")}


def request(value):
    kind = value.get("kind", "pledge")
    fields = {"pledge": PLEDGE, "campaign": CAMPAIGN}
    refused = value.get("status") != "CFA_OK"
    members({**HEAD, "repeat": members({}, fields[value.get("repeat_kind", kind)]),
             **(REFUSAL if refused else {"status": status, **RESULT})},
            {**NOTES, "kind": KIND, "repeat_kind": KIND, "first": members({}, fields[kind])})(value)


fingerprints_file = {
    "requests": request,
    "keys": refused_or({"key": text}, {"status": status}),
    "key_pairs": members({**HEAD, "first": text, "repeat": text, **RESULT}, NOTES),
}


def render(template, signed, now_s, body):
    """The header that a template stands for at some time; see docs/vectors.md."""
    def fill(match):
        if match.group(1):
            return str(now_s + int(match.group(2) or 0))
        one = signed[int(match.group(3))]
        message = one["body"].encode() if "body" in one else body
        return hmac.new(one["secret"].encode(), b"%d." % (now_s + one["offset_s"]) + message,
                        hashlib.sha256).hexdigest()
    return re.sub(r"\{(?:(t)([+-]\d+)?|(\d+))\}", fill, template)


def signature(value):
    refused = value.get("status") != "CFA_OK"
    members({**HEAD, "secrets": list_of(text), "now_s": count, "header": text, "template": text, "diagnosis": text,
             **(REFUSAL if refused else {"status": status})},
            {**NOTES, "body": text, "body_base64": text, "exact": yes,
             "signed": list_of(members({"secret": text, "offset_s": integer}, {"body": text}))})(value)
    need(("body" in value) != ("body_base64" in value), "has one of body and body_base64")
    body = value["body"].encode() if "body" in value else base64.b64decode(value["body_base64"], validate=True)
    need(render(value["template"], value.get("signed", []), value["now_s"], body) == value["header"],
         "the header is not what its template makes")
    need((value["status"] == "CFA_ESIGNATURE") == (value["diagnosis"] != "good"), "status and diagnosis disagree")
    near = any(299 <= abs(one["offset_s"]) <= 302 for one in value.get("signed", []))
    need(near == ("exact" in value), "exact says that no time may pass: so near to the tolerance")


signatures_file = {"signatures": signature}


def payment_id(value):
    text(value)
    need(re.fullmatch(r"\$\d|pay_[0-9a-z]{26}", value), "is $ and a payment of the story, or pay_...:", value)


def refund_id(value):
    text(value)
    need(re.fullmatch(r"\$\d?|rfd_[0-9a-z]{26}", value), "is $, $ and a refund of the story, or rfd_...:", value)


facts = members({}, {
    "ref": text, "origin_ref": text, "payment_id": payment_id, "amount": money,
    "flags": list_of(one_of(*FACTS)), "authorized_minor": integer, "captured_minor": integer, "attempt": count,
    "occurred_us": count, "failure_code": text, "cancel_reason": text, "fee": money,
    "refunds": list_of(members({"ref": text, "amount": money, "state": one_of(*REFUNDS[1:6])},
                               {"refund_id": refund_id, "failure_code": text, "occurred_us": count})),
    "disputes": list_of(members({"ref": text, "amount": money, "state": one_of(*DISPUTES)},
                                {"withdrawn_minor": count, "reinstated_minor": count, "fee": money, "reason": text,
                                 "evidence_due_us": count, "occurred_us": count})),
})
reply = members({"outcome": one_of("UNKNOWN", "DONE", "PENDING", "REFUSED", "NOT_SENT")},
                {"facts": facts, "code": text, "stored": yes})
totals = list_of(members({"currency": text}, {**{bucket: count for bucket in BUCKETS}, "net_minor": integer,
                                              "donation_count": count, "donor_count": count}))
AFTER = {"payment": count, "state": one_of(*STATES)}
STEPS = {
    "pledge": members({"pledge": count}),
    "call": members({"call": one_of("CREATE", "CAPTURE", "CANCEL", "RETRIEVE", "LOOKUP", "REFUND"), "reply": reply},
                    AFTER),
    "event": members({"event": text, "facts": facts, "verdict": one_of(*VERDICTS)},
                     {"relevant": boolean, "livemode": boolean, "account": text, "fetch": boolean, **AFTER}),
    "command": members({"command": one_of("capture", "cancel", "refund", "accept"), "key": text, "status": status},
                       {"amount": money, "refund": count, "field": text, **AFTER}),
    "advance_s": members({"advance_s": count}),
    "totals": members({"totals": totals}),
}


def step(value):
    kinds = [kind for kind in STEPS if kind in value]
    need(len(kinds) == 1, "a step is one of", *STEPS)
    STEPS[kinds[0]](value)


def history(rows):
    need(isinstance(rows, list) and rows and rows[0] == [None, "PENDING", "P01", False], "begins with P01")
    before = None
    for row in rows:
        need(isinstance(row, list) and len(row) == 4, "a step is [from, to, rule, implied]:", row)
        need(row[0] == before and row[1] in STATES, "no walk:", row)
        need(re.fullmatch(r"[PDL]\d\d", row[2]) and isinstance(row[3], bool), "no rule, or not said if implied:", row)
        before = row[1]
    need(rows[-1][3] is False, "the last step of a walk was named by somebody")


payment = members({"state": one_of(*STATES), "flags": list_of(one_of(*FLAGS)), "authorized_minor": count,
                   "captured_minor": count, "failure_code": maybe(text), "ref": maybe(text), "history": history},
                  {"events": list_of(text), "refundable_minor": count, "fee": maybe(money),
                   "refunds": list_of(members({"ref": maybe(text), "state": one_of(*REFUNDS), "amount": money,
                                               "origin": one_of("ASKED", "EXTERNAL", "LATE"),
                                               "failure_code": maybe(text)})),
                   "disputes": list_of(members({"ref": text, "state": one_of(*DISPUTES), "amount": money,
                                                "withdrawn_minor": count, "reinstated_minor": count,
                                                "fee": maybe(money), "reason": maybe(text)}))})
event = members({"type": text, "state": one_of(*STATES), "currency": text},
                {"payment": count, **{bucket: count for bucket in BUCKETS}})


def story(value):
    members({**HEAD, "payments": list_of(members({"amount": money}, {"donor": text})), "steps": list_of(step),
             "expect": members({}, {"payments": list_of(payment), "events": list_of(event), "totals": totals})},
            {**NOTES, "rules": list_of(text), "clock": yes, "currencies": text,
             "late_rule": one_of(*LATE_RULES)})(value)
    need(value["expect"], "expects nothing")
    need(any("advance_s" in step for step in value["steps"]) == ("clock" in value), "clock: time is moved")
    names_payments(value, len(value["payments"]))
    expect = value["expect"]
    for one in expect.get("payments", []):
        need(one["history"][-1][1] == one["state"], "the history ends elsewhere")
        need("events" in expect or "events" in one, "neither names the payment's events nor all of them")
        need("events" not in one or one["events"][:1] == ["pledge.created.v1"],
             "the first event is pledge.created.v1")
        sums(one)
    for row in expect.get("totals", []):
        net = row.get("raised_minor", 0) - row.get("refunded_minor", 0) - row.get("disputed_minor", 0)
        need(row.get("net_minor", 0) == net, "net is raised - refunded - disputed")
    add_up(expect)
    rules_are_stepped(value)


def names_payments(value, known):
    for made in [step["pledge"] for step in value["steps"] if "pledge" in step] + \
            [step.get("payment", 0) for step in value["steps"]] + \
            [one.get("payment", 0) for one in value["expect"].get("events", [])]:
        need(made < max(known, 1), "there is no payment", made)
    need(len(value["expect"].get("payments", [None] * known)) == known, "expects of all payments or of none")


def sums(one):
    """What is left to give back: captured, but for what refunds hold and disputes hold or may still take."""
    left = one["captured_minor"]
    for refund in one.get("refunds", []):
        left -= 0 if refund["state"] in ("FAILED", "CANCELED", "REJECTED") else refund["amount"]["minor"]
    for dispute in one.get("disputes", []):
        need(dispute["reinstated_minor"] <= dispute["withdrawn_minor"], "more came back than was taken")
        may_take = dispute["amount"]["minor"] if dispute["state"] in ("OPEN", "UNDER_REVIEW", "LOST") else 0
        left -= max(dispute["withdrawn_minor"], may_take) - dispute["reinstated_minor"]
    need(one.get("refundable_minor", max(left, 0)) == max(left, 0), "refundable_minor is", max(left, 0))


def add_up(expect):
    """The last event of each payment carries its whole contribution: together they are the totals."""
    if "events" not in expect or "totals" not in expect:
        return
    newest = {one.get("payment", 0): one for one in expect["events"]}
    for row in expect["totals"]:
        mine = [one for one in newest.values() if one["currency"] == row["currency"]]
        for bucket in BUCKETS:
            need(sum(one.get(bucket, 0) for one in mine) == row.get(bucket, 0), bucket, "is not that of the events")
        need(sum("raised_minor" in one for one in mine) == row.get("donation_count", 0),
             "donations are not those raised")


stories_file = {"stories": story}
FILES = {
    "money": (money_file, {}),
    "fingerprints": (fingerprints_file,
                     {"base": members({"pledge": members(PLEDGE), "campaign": members(CAMPAIGN)})}),
    "signatures": (signatures_file, {"tolerance_s": count, "diagnoses": lambda value: None}),
    "transitions": (stories_file, {}),
    "contributions": (stories_file, {}),
    "reversals": (stories_file, {}),
}


# ---- checking --------------------------------------------------------------------------------------------------

def flat(value):
    return json.dumps(value, ensure_ascii=False)


def layout(value, indent=0, behind=0):
    """One line where it fits; else the members of an object fill lines and those of an array have one each."""
    one_line = flat(value)
    if not isinstance(value, (dict, list)) or not value or indent + len(one_line) + behind <= COLUMNS:
        return one_line
    pad, end = " " * (indent + 2), "\n" + " " * indent
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + layout(item, indent + 2, 1) for item in value) + end + "]"
    lines, line = [], ""
    for key, item in value.items():
        words = f"{flat(key)}: {flat(item)}"
        if line and len(line) + len(words) + 3 <= COLUMNS:
            line += ", " + words
            continue
        lines += [line] if line else []
        fits = len(pad) + len(words) + 1 <= COLUMNS
        line = pad + words if fits else ""
        lines += [] if fits else [f"{pad}{flat(key)}: {layout(item, indent + 2, 1)}"]
    return "{\n" + ",\n".join(lines + ([line] if line else [])) + end + "}"


def is_wide(value):
    if isinstance(value, dict):
        return any(is_wide(item) for item in value.values())
    if isinstance(value, list):
        return any(is_wide(item) for item in value)
    return type(value) is int and abs(value) > EXACT_IN_DOUBLE


def check_vector(vector, kind, names):
    kind(vector)
    need(vector["name"] not in names, "the name is told twice")
    names.add(vector["name"])
    need(is_wide(vector) == ("wide" in vector), "wide says that a number is beyond 2^53")


def check_file(stem, document):
    """Problems of one file; names are told once per file."""
    sections, others = FILES[stem]
    problems, names = [], set()
    try:
        members({"schema": one_of(f"careforall.vectors.{stem}.v1"), "about": text, **others,
                 **{section: list_of(lambda value: None) for section in sections}})(document)
    except Fault as fault:
        return [f"{stem}.json: {fault}"]
    for section, kind in sections.items():
        for vector in document[section]:
            try:
                check_vector(vector, kind, names)
            except (Fault, KeyError, TypeError, AttributeError, ValueError) as fault:
                title = vector.get("name") if isinstance(vector, dict) else vector
                problems.append(f"{stem}.json: {section}: {title}: {fault or type(fault).__name__}")
    return problems


def rules_are_stepped(vector):
    """The rules of payments that a story names are in its log, but for those that leave no step there."""
    payments = vector["expect"].get("payments", [])
    logged = {row[2] for one in payments for row in one["history"]}
    for rule in vector.get("rules", []):
        need(re.fullmatch(r"[PRDL]\d\d", rule), "no rule:", rule)
        need(rule[0] not in "PL" or rule in logged or rule in ("P17", "P18"), "no step is by", rule)


def rules_left_out(documents):
    """Rows of the generated table that no story is about."""
    table = (ROOT / "docs/payment-states.md").read_text(encoding="utf-8")
    wanted = set(re.findall(r"^\| ([PRDL]\d\d) \|", table, re.MULTILINE))
    told = {rule for document in documents for story in document.get("stories", []) for rule in story.get("rules", [])}
    return [f"no story is about {rule}" for rule in sorted(wanted - told)]


def check_all(write):
    problems, vectors, documents = [], 0, []
    for stem in FILES:
        path = HERE / f"{stem}.json"
        found = path.read_text(encoding="utf-8")
        try:
            document = json.loads(found)
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            continue
        wanted = layout(document) + "\n"
        if write:
            path.write_text(wanted, encoding="utf-8")
        elif found != wanted:
            problems.append(f"{path.name}: not in the fixed layout: run tests/vectors/check.py --write")
        problems += check_file(stem, document)
        documents.append(document)
        vectors += sum(len(document.get(section, [])) for section in FILES[stem][0])
    strangers = {path.stem for path in HERE.glob("*.json")} - set(FILES)
    problems += [f"{stem}.json: nobody knows this file" for stem in sorted(strangers)]
    problems += [] if problems else rules_left_out(documents)
    finish("vectors", problems, f"{vectors} vectors")


# ---- faults that must be found -----------------------------------------------------------------------------------

def faults():
    """Pairs of a file and a function that spoils it."""
    def put(section, key, value):
        def spoil(document):
            document[section][0][key] = value
        return spoil

    def drop(section, key):
        def spoil(document):
            del document[section][0][key]
        return spoil

    def first_payment(document):
        return document["stories"][0]["expect"]["payments"][0]

    yield "money", lambda document: document.update(schema="careforall.vectors.money.v2")
    yield "money", lambda document: document.update(extra=[])
    yield "money", lambda document: document["parse"].append(document["parse"][0])
    yield "money", put("parse", "name", "two words")
    yield "money", put("parse", "amount", {"minor": 12.5, "currency": "EUR"})
    yield "money", put("parse", "amount", {"minor": 2**60, "currency": "EUR"})
    yield "money", put("parse", "status", "CFA_ENOSUCH")
    yield "money", drop("parse", "formatted")
    yield "money", put("currencies", "wide", True)
    yield "fingerprints", put("requests", "repeat", {"colour": "red"})
    yield "fingerprints", put("requests", "result", "alike")
    yield "fingerprints", drop("requests", "result")
    yield "fingerprints", lambda document: document["base"]["pledge"].pop("amount")
    yield "signatures", put("signatures", "header", "t=1,v1=00")
    yield "signatures", put("signatures", "now_s", 1795341661)
    yield "signatures", put("signatures", "body", "{}")
    yield "signatures", put("signatures", "body_base64", "e30=")
    yield "signatures", put("signatures", "exact", True)
    yield "signatures", put("signatures", "diagnosis", "too_old")
    yield "transitions", put("stories", "rules", ["P09"])
    yield "transitions", put("stories", "clock", True)
    yield "transitions", put("stories", "expect", {})
    yield "transitions", put("stories", "steps", [{"pledge": 1}])
    yield "transitions", put("stories", "steps", [{"call": "CREATE", "reply": {"outcome": "MAYBE"}}])
    yield "transitions", put("stories", "steps", [{"event": "e", "facts": {"mood": "good"}, "verdict": "APPLIED"}])
    yield "transitions", put("stories", "steps", [{"event": "e", "facts": {"refunds": 1}, "verdict": "APPLIED"}])
    yield "reversals", lambda document: first_payment(document).update(refundable_minor=1)
    yield "reversals", lambda document: first_payment(document)["refunds"][0].update(state="GONE")
    yield "transitions", lambda document: first_payment(document).update(state="COMPLETED")
    yield "transitions", lambda document: first_payment(document)["history"].clear()
    yield "transitions", lambda document: first_payment(document).pop("events")
    yield "contributions", lambda document: document["stories"][0]["expect"]["totals"][0].update(net_minor=1)
    yield "contributions", lambda document: document["stories"][1]["expect"]["totals"][0].update(pledged_minor=1)


def self_test():
    documents = {stem: json.loads((HERE / f"{stem}.json").read_text(encoding="utf-8")) for stem in FILES}
    problems = [f"a sound file is refused: {problem}" for stem in FILES
                for problem in check_file(stem, documents[stem])]
    planted = 0
    for planted, (stem, spoil) in enumerate(faults(), 1):
        document = copy.deepcopy(documents[stem])
        spoil(document)
        if not check_file(stem, document):
            problems.append(f"fault {planted}, in {stem}.json, is not found")
    without = {stem: document for stem, document in documents.items() if stem != "transitions"}
    if not rules_left_out(without.values()):
        problems.append("a rule without a story is not found")
    finish("vectors --self-test", problems, f"{planted} planted faults")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    check_all(write=sys.argv[1:] == ["--write"])
