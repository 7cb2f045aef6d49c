/*
 * openapi_schemas.c - what bodies look like. Written as JSON, which the preprocessor turns into
 * text. The tests compare every answer with it.
 */
#include "openapi.h"

#define JSON(...) #__VA_ARGS__

/* clang-format off */
const openapi_schema openapi_schemas[] = {
    { "Money", JSON({
        "type": "object", "required": ["minor", "currency"], "additionalProperties": false,
        "properties": {
            "minor": {"type": "integer", "minimum": 0, "maximum": 1000000000000000,
                      "description": "whole minor units: 1250 is 12.50 EUR, and 1250 JPY"},
            "currency": {"$ref": "#/components/schemas/Currency"}}}) },
    { "Currency", JSON({
        "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217"}) },
    { "Time", JSON({
        "type": "string", "format": "date-time", "description": "RFC 3339"}) },
    { "CampaignId", JSON({
        "type": "string", "pattern": "^cmp_[0-7][0-9a-hjkmnp-tv-z]{25}$"}) },
    { "PledgeId", JSON({
        "type": "string", "pattern": "^plg_[0-7][0-9a-hjkmnp-tv-z]{25}$"}) },
    { "AnyId", JSON({
        "type": "string", "minLength": 1, "maxLength": 63,
        "description": "ours of a pledge, payment, refund, dispute or event, or the name of one there"}) },
    { "Story", JSON({
        "type": "object", "description": "docs/explain.md; members are only added",
        "required": ["document", "version", "summary", "asked", "position", "as_of", "timeline"],
        "properties": {
            "document": {"const": "explain"},
            "version": {"const": 1},
            "summary": {"type": "string", "description": "for people"},
            "payment_id": {"type": "string"},
            "position": {"type": "integer"},
            "as_of": {"$ref": "#/components/schemas/Time"},
            "timeline": {"type": "array", "items": {
                "type": "object", "required": ["at", "kind", "title"],
                "properties": {
                    "at": {"$ref": "#/components/schemas/Time"},
                    "kind": {"type": "string"},
                    "title": {"type": "string", "description": "for people"}}}}}}) },
    { "FindingCode", JSON({
        "type": "string", "pattern": "^[a-z_]{1,63}$",
        "description": "`kind` of a finding, such as \"webhook_parked\""}) },
    { "Checkup", JSON({
        "type": "object", "description": "docs/explain.md; members are only added",
        "required": ["document", "version", "summary", "count", "critical", "deep", "as_of",
                     "findings"],
        "properties": {
            "document": {"const": "doctor"},
            "version": {"const": 1},
            "summary": {"type": "string", "description": "for people"},
            "count": {"type": "integer", "minimum": 0},
            "critical": {"type": "integer", "minimum": 0},
            "deep": {"type": "boolean"},
            "as_of": {"$ref": "#/components/schemas/Time"},
            "findings": {"type": "array", "items": {
                "type": "object", "required": ["kind", "title"],
                "properties": {
                    "kind": {"type": "string", "description": "stable"},
                    "title": {"type": "string", "description": "for people"}}}}}}) },
    { "Remedy", JSON({
        "type": "object", "required": ["code", "done"], "additionalProperties": false,
        "properties": {
            "code": {"$ref": "#/components/schemas/FindingCode"},
            "done": {"type": "integer", "minimum": 0,
                     "description": "how many things were acted on; 0: there was nothing to do"}}}) },
    { "JobState", JSON({
        "type": "string", "enum": ["running", "finished", "failed"]}) },
    { "Verdict", JSON({
        "type": "string", "enum": ["clean", "differences"]}) },
    { "JobFailure", JSON({
        "type": "object", "required": ["code", "detail"], "additionalProperties": false,
        "properties": {
            "code": {"type": "string", "description": "for programs: stable"},
            "detail": {"type": "string", "description": "for people"}}}) },
    { "Audit", JSON({
        "type": "object", "additionalProperties": false,
        "required": ["kind", "number", "state", "started_at", "ended_at", "source", "rows",
                     "verdict", "differences", "problem", "report"],
        "properties": {
            "kind": {"const": "audit"},
            "number": {"type": "integer", "minimum": 1,
                       "description": "counts audits and reconciliations of this process"},
            "state": {"$ref": "#/components/schemas/JobState"},
            "started_at": {"$ref": "#/components/schemas/Time"},
            "ended_at": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}]},
            "source": {"enum": ["book", "record"],
                       "description": "record: compared with the provider's exported file, too"},
            "rows": {"type": ["integer", "null"], "minimum": 0,
                     "description": "read so far; null at the end"},
            "verdict": {"anyOf": [{"$ref": "#/components/schemas/Verdict"}, {"type": "null"}]},
            "differences": {"type": ["integer", "null"], "minimum": 0},
            "problem": {"anyOf": [{"$ref": "#/components/schemas/JobFailure"}, {"type": "null"}]},
            "report": {"type": ["object", "null"], "description": "docs/audit.md"}}}) },
    { "Record", JSON({
        "description": "a file that was exported from Stripe, CSV or JSON: docs/reconcile.md"}) },
    { "ReconciliationSpec", JSON({
        "type": "object", "required": ["from"], "additionalProperties": false,
        "properties": {
            "from": {"$ref": "#/components/schemas/Time"},
            "until": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}],
                      "description": "up to ten minutes ago, when absent"},
            "repair": {"type": ["boolean", "null"], "default": false,
                       "description": "tell the book what the provider says, then compare again"},
            "all_ours": {"type": ["boolean", "null"], "default": false,
                         "description": "what names no payment of ours is missing here, too"}}}) },
    { "Reconciliation", JSON({
        "type": "object", "additionalProperties": false,
        "required": ["kind", "number", "state", "started_at", "ended_at", "from", "until",
                     "source", "repair", "all_ours", "repaired", "verdict", "differences",
                     "problem", "report"],
        "properties": {
            "kind": {"const": "reconciliation"},
            "number": {"type": "integer", "minimum": 1,
                       "description": "counts audits and reconciliations of this process"},
            "state": {"$ref": "#/components/schemas/JobState"},
            "started_at": {"$ref": "#/components/schemas/Time"},
            "ended_at": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}]},
            "source": {"enum": ["live", "record"],
                       "description": "what the provider lists, or an exported file"},
            "from": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}],
                     "description": "null: of a file, nothing must be in it"},
            "until": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}],
                      "description":
                          "null: up to ten minutes before it began; of a file, as `from`"},
            "repair": {"type": "boolean"},
            "all_ours": {"type": "boolean"},
            "repaired": {"type": ["integer", "null"], "minimum": 0},
            "verdict": {"anyOf": [{"$ref": "#/components/schemas/Verdict"}, {"type": "null"}]},
            "differences": {"type": ["integer", "null"], "minimum": 0},
            "problem": {"anyOf": [{"$ref": "#/components/schemas/JobFailure"}, {"type": "null"}]},
            "report": {"type": ["object", "null"], "description": "docs/reconcile.md"}}}) },
    { "PaymentId", JSON({
        "type": "string", "pattern": "^pay_[0-7][0-9a-hjkmnp-tv-z]{25}$"}) },
    { "RefundId", JSON({
        "type": "string", "pattern": "^rfd_[0-7][0-9a-hjkmnp-tv-z]{25}$"}) },
    { "DisputeId", JSON({
        "type": "string", "pattern": "^dsp_[0-7][0-9a-hjkmnp-tv-z]{25}$"}) },
    { "PaymentState", JSON({
        "type": "string",
        "enum": ["PENDING", "REQUIRES_ACTION", "PROCESSING", "AUTHORIZED", "CAPTURED", "COMPLETED",
                 "FAILED", "CANCELED", "EXPIRED"]}) },
    { "Health", JSON({
        "type": "object", "required": ["status", "version", "storage", "runner"],
        "properties": {
            "status": {"enum": ["ok", "unavailable"]},
            "version": {"type": "string"},
            "storage": {"enum": ["ok", "unreachable"]},
            "runner": {"enum": ["running", "stopped"]},
            "provider": {"type": "string"},
            "circuit": {
                "type": "object", "required": ["state"],
                "description": "the provider's circuit breaker; it does not change status",
                "properties": {
                    "state": {"enum": ["CLOSED", "OPEN", "HALF_OPEN"]},
                    "retry_ms": {"type": "integer", "minimum": 1,
                                 "description": "until one call may try"}}},
            "in_work": {"type": "integer", "minimum": 0},
            "draining": {"type": "boolean"}}}) },
    { "Readiness", JSON({
        "type": "object", "required": ["status"], "additionalProperties": false,
        "properties": {"status": {"enum": ["ready", "draining", "unreachable"]}}}) },
    { "Description", JSON({
        "type": "object", "required": ["openapi", "info", "paths"]}) },
    { "CampaignSpec", JSON({
        "type": "object", "required": ["title", "currencies"], "additionalProperties": false,
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200},
            "currencies": {"type": "array", "minItems": 1, "maxItems": 16,
                           "items": {"$ref": "#/components/schemas/Currency"}},
            "goal": {"$ref": "#/components/schemas/Money"},
            "deadline": {"$ref": "#/components/schemas/Time"},
            "late_rule": {"enum": ["accept", "refuse", "refund", "hold"], "default": "accept"}}}) },
    { "Campaign", JSON({
        "type": "object",
        "required": ["id", "title", "currencies", "goal", "deadline", "late_rule", "state",
                     "version", "created_at", "updated_at"],
        "properties": {
            "id": {"$ref": "#/components/schemas/CampaignId"},
            "title": {"type": "string"},
            "currencies": {"type": "array", "items": {"$ref": "#/components/schemas/Currency"}},
            "goal": {"anyOf": [{"$ref": "#/components/schemas/Money"}, {"type": "null"}]},
            "deadline": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}]},
            "late_rule": {"enum": ["accept", "refuse", "refund", "hold"]},
            "state": {"enum": ["OPEN", "ENDED"]},
            "version": {"type": "integer", "minimum": 1},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "updated_at": {"$ref": "#/components/schemas/Time"}}}) },
    { "CampaignWithTotals", JSON({
        "allOf": [{"$ref": "#/components/schemas/Campaign"}],
        "type": "object", "required": ["totals"],
        "properties": {"totals": {"$ref": "#/components/schemas/Totals"}}}) },
    { "CampaignPage", JSON({
        "type": "object", "required": ["campaigns", "next"], "additionalProperties": false,
        "properties": {
            "campaigns": {"type": "array", "maxItems": 1000,
                          "items": {"$ref": "#/components/schemas/Campaign"}},
            "next": {"type": ["string", "null"],
                     "description": "the next page's `after`; null on the last page"}}}) },
    { "Totals", JSON({
        "type": "object", "additionalProperties": false,
        "required": ["campaign_id", "version", "position", "as_of", "stale", "currencies"],
        "properties": {
            "campaign_id": {"$ref": "#/components/schemas/CampaignId"},
            "version": {"type": "integer", "minimum": 0, "description": "never goes backward"},
            "position": {"type": "integer", "minimum": 0,
                         "description": "everything up to this log position is included"},
            "as_of": {"$ref": "#/components/schemas/Time"},
            "stale": {"type": "boolean",
                      "description": "the store cannot be read: these are the last known numbers"},
            "currencies": {"type": "array",
                           "items": {"$ref": "#/components/schemas/TotalsRow"}}}}) },
    { "TotalsRow", JSON({
        "type": "object", "additionalProperties": false,
        "required": ["currency", "pledged_minor", "authorized_minor", "raised_minor",
                     "refunded_minor", "disputed_minor", "net_minor", "donation_count",
                     "donor_count"],
        "properties": {
            "currency": {"$ref": "#/components/schemas/Currency"},
            "pledged_minor": {"type": "integer"},
            "authorized_minor": {"type": "integer"},
            "raised_minor": {"type": "integer"},
            "refunded_minor": {"type": "integer"},
            "disputed_minor": {"type": "integer"},
            "net_minor": {"type": "integer", "description": "raised - refunded - disputed"},
            "donation_count": {"type": "integer"},
            "donor_count": {"type": "integer"}}}) },
    { "PledgeSpec", JSON({
        "type": "object", "required": ["campaign_id", "amount"], "additionalProperties": false,
        "properties": {
            "campaign_id": {"$ref": "#/components/schemas/CampaignId"},
            "amount": {"$ref": "#/components/schemas/Money"},
            "payment_method": {"type": "string", "maxLength": 200,
                               "description": "a token of the provider, never card data"},
            "return_url": {"type": "string", "format": "uri", "maxLength": 500,
                           "description": "where the hosted page sends the donor; an allowed one"},
            "cancel_url": {"type": "string", "format": "uri", "maxLength": 500},
            "donor": {"$ref": "#/components/schemas/DonorSpec"}}}) },
    { "DonorSpec", JSON({
        "type": "object", "additionalProperties": false,
        "properties": {
            "reference": {"type": "string", "maxLength": 200},
            "name": {"type": "string", "maxLength": 200},
            "email": {"type": "string", "maxLength": 254},
            "message": {"type": "string", "maxLength": 1000},
            "visibility": {"enum": ["public", "owner", "hidden"], "default": "public"}}}) },
    { "PledgeAnswer", JSON({
        "type": "object", "required": ["id", "campaign_id", "amount", "state", "created_at"],
        "description": "fixed once; equal bytes for every repeat of the key",
        "properties": {
            "id": {"$ref": "#/components/schemas/PledgeId"},
            "payment_id": {"type": "string"},
            "campaign_id": {"$ref": "#/components/schemas/CampaignId"},
            "amount": {"$ref": "#/components/schemas/Money"},
            "state": {"$ref": "#/components/schemas/PaymentState"},
            "client_secret": {"type": "string",
                              "description": "what the donor's browser pays with"},
            "redirect_url": {"type": "string", "format": "uri",
                             "description": "the provider's page where the donor pays"},
            "created_at": {"$ref": "#/components/schemas/Time"}}}) },
    { "Pledge", JSON({
        "type": "object",
        "required": ["id", "campaign_id", "amount", "state", "pending", "created_at"],
        "description": "payment_id and donor are shown to the service and to who holds the token",
        "properties": {
            "id": {"$ref": "#/components/schemas/PledgeId"},
            "campaign_id": {"$ref": "#/components/schemas/CampaignId"},
            "amount": {"$ref": "#/components/schemas/Money"},
            "state": {"$ref": "#/components/schemas/PaymentState"},
            "pending": {"type": "boolean",
                        "description": "the provider has not answered yet"},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "payment_id": {"type": "string"},
            "donor": {"type": "object", "properties": {
                "id": {"type": ["string", "null"]},
                "name": {"type": ["string", "null"]},
                "email": {"type": ["string", "null"]},
                "message": {"type": ["string", "null"]},
                "visibility": {"enum": ["public", "owner", "hidden"]}}}}}) },
    { "PledgePage", JSON({
        "type": "object", "required": ["pledges", "next"], "additionalProperties": false,
        "properties": {
            "pledges": {"type": "array", "maxItems": 1000,
                        "items": {"$ref": "#/components/schemas/Pledge"}},
            "next": {"type": ["string", "null"],
                     "description": "the next page's `after`; null on the last page"}}}) },
    { "Act", JSON({
        "type": "object", "additionalProperties": false,
        "required": ["number", "action", "subject", "actor", "reason", "before", "after",
                     "created_at", "previous_hash", "hash"],
        "properties": {
            "number": {"type": "integer", "format": "int64", "minimum": 1},
            "action": {"type": "string", "description": "such as \"campaign.end\""},
            "subject": {"type": "string", "description": "an id, or a cursor's name"},
            "actor": {"type": ["string", "null"]},
            "reason": {"type": ["string", "null"]},
            "before": {"type": ["object", "null"]},
            "after": {"type": ["object", "null"]},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "previous_hash": {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
            "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}}) },
    { "ActPage", JSON({
        "type": "object", "required": ["acts", "next"], "additionalProperties": false,
        "properties": {
            "acts": {"type": "array", "maxItems": 1000,
                     "items": {"$ref": "#/components/schemas/Act"}},
            "next": {"type": ["string", "null"],
                     "description": "the next page's `after`; null on the last page"}}}) },
    { "Payment", JSON({
        "type": "object",
        "required": ["id", "pledge_id", "campaign_id", "state", "flags", "amount", "authorized",
                     "captured", "refunded", "disputed", "refundable", "fee", "provider_ref",
                     "failure_code", "created_at", "updated_at"],
        "properties": {
            "id": {"$ref": "#/components/schemas/PaymentId"},
            "pledge_id": {"$ref": "#/components/schemas/PledgeId"},
            "campaign_id": {"$ref": "#/components/schemas/CampaignId"},
            "state": {"$ref": "#/components/schemas/PaymentState"},
            "flags": {"type": "array", "items": {
                "enum": ["unknown", "conflict", "settled", "late", "fraud_warning", "held"]}},
            "amount": {"$ref": "#/components/schemas/Money"},
            "authorized": {"$ref": "#/components/schemas/Money"},
            "captured": {"$ref": "#/components/schemas/Money"},
            "refunded": {"$ref": "#/components/schemas/Money"},
            "disputed": {"$ref": "#/components/schemas/Money"},
            "refundable": {"$ref": "#/components/schemas/Money",
                           "description": "what may still be given back"},
            "fee": {"anyOf": [{"$ref": "#/components/schemas/Money"}, {"type": "null"}],
                    "description": "the provider's, in the currency it settles in"},
            "provider_ref": {"type": ["string", "null"]},
            "failure_code": {"type": ["string", "null"]},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "updated_at": {"$ref": "#/components/schemas/Time"}}}) },
    { "CaptureSpec", JSON({
        "type": "object", "additionalProperties": false,
        "properties": {
            "amount": {"$ref": "#/components/schemas/Money",
                       "description": "all that is held, when absent"}}}) },
    { "RefundSpec", JSON({
        "type": "object", "additionalProperties": false,
        "properties": {
            "amount": {"$ref": "#/components/schemas/Money",
                       "description": "all that is left, when absent"},
            "reason": {"type": "string", "maxLength": 500,
                       "description": "for the audit log; no personal data"}}}) },
    { "Refund", JSON({
        "type": "object",
        "required": ["id", "payment_id", "amount", "state", "origin", "provider_ref",
                     "failure_code", "reason", "created_at", "updated_at"],
        "properties": {
            "id": {"$ref": "#/components/schemas/RefundId"},
            "payment_id": {"$ref": "#/components/schemas/PaymentId"},
            "amount": {"$ref": "#/components/schemas/Money"},
            "state": {"enum": ["REQUESTED", "PENDING", "REQUIRES_ACTION", "SUCCEEDED", "FAILED",
                               "CANCELED", "REJECTED"]},
            "origin": {"enum": ["asked", "provider", "late_rule", "fraud_rule"]},
            "provider_ref": {"type": ["string", "null"]},
            "failure_code": {"type": ["string", "null"]},
            "reason": {"type": ["string", "null"]},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "updated_at": {"$ref": "#/components/schemas/Time"}}}) },
    { "RefundList", JSON({
        "type": "object", "required": ["refunds"], "additionalProperties": false,
        "properties": {"refunds": {"type": "array", "maxItems": 1000,
                                   "items": {"$ref": "#/components/schemas/Refund"}}}}) },
    { "Dispute", JSON({
        "type": "object",
        "required": ["id", "payment_id", "provider_ref", "amount", "state", "withdrawn",
                     "reinstated", "fee", "reason", "evidence_due", "created_at", "updated_at"],
        "properties": {
            "id": {"$ref": "#/components/schemas/DisputeId"},
            "payment_id": {"$ref": "#/components/schemas/PaymentId"},
            "provider_ref": {"type": "string"},
            "amount": {"$ref": "#/components/schemas/Money"},
            "state": {"enum": ["INQUIRY", "INQUIRY_CLOSED", "OPEN", "UNDER_REVIEW", "PREVENTED",
                               "WON", "LOST"]},
            "withdrawn": {"$ref": "#/components/schemas/Money"},
            "reinstated": {"$ref": "#/components/schemas/Money"},
            "fee": {"anyOf": [{"$ref": "#/components/schemas/Money"}, {"type": "null"}]},
            "reason": {"type": ["string", "null"]},
            "evidence_due": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}]},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "updated_at": {"$ref": "#/components/schemas/Time"}}}) },
    { "DisputeList", JSON({
        "type": "object", "required": ["disputes"], "additionalProperties": false,
        "properties": {"disputes": {"type": "array", "maxItems": 1000,
                                    "items": {"$ref": "#/components/schemas/Dispute"}}}}) },
    { "WebhookEvent", JSON({
        "type": "object", "description": "as the provider signs it; taken byte for byte"}) },
    { "WebhookVerdict", JSON({
        "type": "object", "required": ["verdict"], "additionalProperties": false,
        "properties": {
            "verdict": {"enum": ["APPLIED", "DUPLICATE", "STALE", "PARKED", "IGNORED",
                                 "QUARANTINED"]}}}) },
    { "PlayConfirmation", JSON({
        "type": "object", "required": ["client_secret", "payment_method"],
        "additionalProperties": false,
        "properties": {
            "client_secret": {"type": "string"},
            "payment_method": {"type": "string",
                               "examples": ["pm_ok", "pm_declined", "pm_action", "pm_slow"]}}}) },
    { "PlayResult", JSON({
        "type": "object", "required": ["result"], "additionalProperties": false,
        "properties": {"result": {"const": "accepted"}}}) },
};
/* clang-format on */

const size_t openapi_schema_count = sizeof openapi_schemas / sizeof openapi_schemas[0];
