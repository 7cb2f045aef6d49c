"""The description at GET /openapi.json: whole, the one in docs/, and true of what the server does.

CAREFORALL_UPDATE_OPENAPI=1 writes docs/openapi.json anew.
"""

import json
import os
import re

import pytest

from conftest import ROOT, Server, new_key

PAGE = ROOT / "docs" / "openapi.json"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
MISSING = {name: f"{prefix}_01h455vb4pex5vsknk084sn02q" for name, prefix in (
    ("CampaignId", "cmp"), ("PledgeId", "plg"), ("PaymentId", "pay"), ("RefundId", "rfd"), ("DisputeId", "dsp"),
    ("AnyId", "pay"))} | {"FindingCode": "webhook_parked"}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    server = Server("--database", str(tmp_path_factory.mktemp("openapi") / "book.db"))
    server.document = server.get("/openapi.json").json
    yield server
    assert server.stop() == 0, server.log()


def resolve(document, value):
    while isinstance(value, dict) and "$ref" in value:
        target = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        value = target
    return value


def operations(document):
    for path, entry in document["paths"].items():
        assert set(entry) <= METHODS
        for method, operation in entry.items():
            yield method.upper(), path, operation


def parameters(document, operation):
    return {entry["name"]: entry for entry in (resolve(document, given) for given in operation["parameters"])}


def filled(document, path, operation):
    for name, entry in parameters(document, operation).items():
        if entry["in"] == "path":
            path = path.replace("{%s}" % name, MISSING[entry["schema"]["$ref"].split("/")[-1]])
    assert "{" not in path
    return path


def test_the_page_in_docs_is_what_the_server_says(book):
    document = dict(book.document)
    assert document["info"].pop("version")
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("CAREFORALL_UPDATE_OPENAPI"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "run with CAREFORALL_UPDATE_OPENAPI=1"


def test_every_reference_leads_somewhere(book):
    def walk(value):
        if isinstance(value, dict):
            assert resolve(book.document, value) is not None
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            assert value is not None, "a part of the description is not JSON"
    walk(book.document)
    assert book.document["openapi"].startswith("3.1.")


def test_operations_have_names_of_their_own(book):
    names = [operation["operationId"] for _, _, operation in operations(book.document)]
    assert len(set(names)) == len(names) >= 13


def table_of_routes():
    text = (ROOT / "examples/server/route.c").read_text(encoding="utf-8")
    table = text[text.index("routes[] = {"):text.index("};", text.index("routes[] = {"))]
    return set(re.findall(r'\.method = "(\w+)",\s*\.pattern = "([^"]+)"', table))


def test_every_route_of_the_table_is_described(book):
    described = {(method, path) for method, path, _ in operations(book.document)}
    assert described == table_of_routes()


def test_every_problem_code_is_described(book):
    described = set()
    for response in book.document["components"]["responses"].values():
        schema = response["content"]["application/problem+json"]["schema"]
        described |= set(schema["allOf"][1]["properties"]["code"]["enum"])
    own = set(re.findall(r'"(http_\w+)"', (ROOT / "examples/server/problem.h").read_text(encoding="utf-8")))
    engine = {name.lower() for name in re.findall(
        r"X\((CFA_\w+), -\d+", (ROOT / "include/careforall/error.h").read_text(encoding="utf-8"))}
    assert described == own | engine
    page = (ROOT / "docs/http.md").read_text(encoding="utf-8")
    assert [code for code in sorted(described) if f"`{code}`" not in page] == []


def test_routes_are_in_the_page_for_people(book):
    page = (ROOT / "docs/http.md").read_text(encoding="utf-8")
    missing = [f"{method} {path}" for method, path, _ in operations(book.document) if f"`{method} {path}" not in page]
    assert missing == []


def test_paths_take_only_the_methods_that_are_described(book):
    for path, entry in book.document["paths"].items():
        target = filled(book.document, path, next(iter(entry.values())))
        answer = book.request("DELETE", target)
        assert answer.status == 405, (path, answer)
        allowed = {method.lower() for method in answer.headers["allow"].split(", ")}
        assert allowed == set(entry) | {"options"} | ({"head"} if "get" in entry else set()), path


def test_query_arguments_are_those_that_are_described(book):
    for method, path, operation in operations(book.document):
        target = filled(book.document, path, operation)
        names = [name for name, entry in parameters(book.document, operation).items() if entry["in"] == "query"]
        refused = book.request(method, f"{target}?not_described=1", token=True,
                               headers={"Content-Type": "application/json"})
        assert refused.json["code"] == "http_bad_query", (path, refused)
        for name in names:
            answer = book.request(method, f"{target}?{name}=1", token=True)
            assert answer.status < 400 or answer.json["code"] != "http_bad_query", (path, name, answer)


def test_required_headers_and_tokens_are_asked_for(book):
    codes = {"Idempotency-Key": "cfa_ekey", "If-Match": "http_no_precondition",
             "Careforall-Signature": "cfa_esignature"}
    good = {"Idempotency-Key": new_key(), "If-Match": '"1"'}
    body = {"CampaignSpec": {"title": "x", "currencies": ["EUR"]},
            "PledgeSpec": {"campaign_id": MISSING["CampaignId"], "amount": {"minor": 100, "currency": "EUR"}},
            "PlayConfirmation": {"client_secret": "x", "payment_method": "x"}, "WebhookEvent": {},
            "CaptureSpec": {}, "RefundSpec": {}, "ReconciliationSpec": {"from": "2020-01-01T00:00:00Z"}, "Record": {}}
    for method, path, operation in operations(book.document):
        target = filled(book.document, path, operation)
        content = operation.get("requestBody", {}).get("content", {})
        sent = body[content["application/json"]["schema"]["$ref"].split("/")[-1]] if content else None
        if operation["security"] == [{"service": []}]:
            assert book.request(method, target, sent, good).status == 401, path
        for name, code in codes.items():
            if name in parameters(book.document, operation):
                left = {key: value for key, value in good.items() if key != name}
                answer = book.request(method, target, sent, left, token=True)
                assert answer.json["code"] == code, (path, name, answer)


def test_the_description_can_be_kept(book):
    first = book.get("/openapi.json")
    assert first.headers["cache-control"] == "no-cache"
    again = book.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
