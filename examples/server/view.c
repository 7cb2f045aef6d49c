/* view.c - snapshots as JSON. Personal data appears in the complete view alone. */
#include "view.h"

#include <stdio.h>
#include <string.h>

/* Days since 1970-01-01 to a date, in the proleptic Gregorian calendar: years begin in March, so
 * that the leap day is the last one. */
static void split_days(int64_t days, int64_t *out_year, int *out_month, int *out_day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *out_day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *out_month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *out_year = year_of_era + era * 400 + (*out_month <= 2 ? 1 : 0);
}

json_t *view_time(int64_t time_us) {
    if (time_us == 0)
        return json_null();
    int64_t day_us = INT64_C(86400000000);
    int64_t days = time_us / day_us - (time_us % day_us < 0 ? 1 : 0);
    int64_t rest = time_us - days * day_us;
    int64_t year = 0;
    int month = 0, day = 0;
    split_days(days, &year, &month, &day);
    char text[64];
    snprintf(text, sizeof text, "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ", (long long)year, month,
             day, (int)(rest / INT64_C(3600000000)), (int)(rest / 60000000 % 60),
             (int)(rest / 1000000 % 60), (int)(rest % 1000000));
    return json_string(text);
}

json_t *view_money(cfa_money amount) {
    if (amount.currency[0] == '\0')
        return json_null();
    return json_pack("{s:I, s:s}", "minor", (json_int_t)amount.minor, "currency", amount.currency);
}

static json_t *view_currencies(const char *list) {
    json_t *out = json_array();
    while (out && *list != '\0') {
        size_t size = strcspn(list, ",");
        if (json_array_append_new(out, json_stringn(list, size)) != 0) {
            json_decref(out);
            return NULL;
        }
        list += size + (list[size] == ',' ? 1 : 0);
    }
    return out;
}

json_t *view_campaign(const cfa_campaign *campaign) {
    static const char *const late_rules[] = { "accept", "refuse", "refund", "hold" };
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:I, s:o, s:o}", "id",
                     cfa_campaign_id(campaign), "title", cfa_campaign_title(campaign), "currencies",
                     view_currencies(cfa_campaign_currencies(campaign)), "goal",
                     view_money(cfa_campaign_goal(campaign)), "deadline",
                     view_time(cfa_campaign_deadline_us(campaign)), "late_rule",
                     late_rules[cfa_campaign_late_rule(campaign)], "state",
                     cfa_campaign_state_name(cfa_campaign_state_of(campaign)), "version",
                     (json_int_t)cfa_campaign_version(campaign), "created_at",
                     view_time(cfa_campaign_created_us(campaign)), "updated_at",
                     view_time(cfa_campaign_updated_us(campaign)));
}

static json_t *view_row(const cfa_totals_row *row) {
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "currency", row->currency, "pledged_minor",
        (json_int_t)row->pledged_minor, "authorized_minor", (json_int_t)row->authorized_minor,
        "raised_minor", (json_int_t)row->raised_minor, "refunded_minor",
        (json_int_t)row->refunded_minor, "disputed_minor", (json_int_t)row->disputed_minor,
        "net_minor", (json_int_t)row->net_minor, "donation_count", (json_int_t)row->donation_count,
        "donor_count", (json_int_t)row->donor_count);
}

json_t *view_totals(const cfa_totals *totals) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < cfa_totals_size(totals); i++) {
        if (json_array_append_new(rows, view_row(cfa_totals_at(totals, i))) != 0) {
            json_decref(rows);
            return NULL;
        }
    }
    return json_pack(
        "{s:s, s:I, s:I, s:o, s:b, s:o}", "campaign_id", cfa_totals_campaign_id(totals), "version",
        (json_int_t)cfa_totals_version(totals), "position", (json_int_t)cfa_totals_position(totals),
        "as_of", view_time(cfa_totals_as_of_us(totals)), "stale", cfa_totals_stale(totals) != 0,
        "currencies", rows);
}

static json_t *view_donor(const cfa_pledge *pledge) {
    static const char *const visibilities[] = { "public", "owner", "hidden" };
    cfa_visibility visibility = cfa_pledge_visibility(pledge);
    return json_pack("{s:s?, s:s?, s:s?, s:s?, s:s}", "id", cfa_pledge_donor_id(pledge), "name",
                     cfa_pledge_donor_name(pledge), "email", cfa_pledge_donor_email(pledge),
                     "message", cfa_pledge_donor_message(pledge), "visibility",
                     visibility >= 0 && visibility <= CFA_VISIBILITY_HIDDEN
                         ? visibilities[visibility]
                         : "hidden");
}

json_t *view_pledge(const cfa_pledge *pledge, bool complete) {
    json_t *out = json_pack(
        "{s:s, s:s, s:o, s:s, s:b, s:o}", "id", cfa_pledge_id(pledge), "campaign_id",
        cfa_pledge_campaign_id(pledge), "amount", view_money(cfa_pledge_amount(pledge)), "state",
        cfa_payment_state_name(cfa_pledge_state(pledge)), "pending",
        cfa_pledge_pending(pledge) != 0, "created_at", view_time(cfa_pledge_created_us(pledge)));
    if (!out || !complete)
        return out;
    if (json_object_set_new(out, "payment_id", json_string(cfa_pledge_payment_id(pledge))) != 0 ||
        json_object_set_new(out, "donor", view_donor(pledge)) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *view_flags(uint32_t flags) {
    static const char *const names[] = { "unknown", "conflict",      "settled",
                                         "late",    "fraud_warning", "held" };
    json_t *out = json_array();
    for (size_t i = 0; out && i < sizeof names / sizeof names[0]; i++) {
        if ((flags >> i & 1u) != 0 && json_array_append_new(out, json_string(names[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

json_t *view_payment(const cfa_payment *payment) {
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:s?, s:o, s:o}", "id",
        cfa_payment_id(payment), "pledge_id", cfa_payment_pledge_id(payment), "campaign_id",
        cfa_payment_campaign_id(payment), "state",
        cfa_payment_state_name(cfa_payment_state_of(payment)), "flags",
        view_flags(cfa_payment_flags(payment)), "amount", view_money(cfa_payment_amount(payment)),
        "authorized", view_money(cfa_payment_authorized(payment)), "captured",
        view_money(cfa_payment_captured(payment)), "refunded",
        view_money(cfa_payment_refunded(payment)), "disputed",
        view_money(cfa_payment_disputed(payment)), "refundable",
        view_money(cfa_payment_refundable(payment)), "fee", view_money(cfa_payment_fee(payment)),
        "provider_ref", cfa_payment_ref(payment), "failure_code", cfa_payment_failure_code(payment),
        "created_at", view_time(cfa_payment_created_us(payment)), "updated_at",
        view_time(cfa_payment_updated_us(payment)));
}

json_t *view_refund(const cfa_refund *refund) {
    static const char *const origins[] = { "", "asked", "provider", "late_rule", "fraud_rule" };
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s?, s:s?, s:s?, s:o, s:o}", "id",
                     cfa_refund_id(refund), "payment_id", cfa_refund_payment_id(refund), "amount",
                     view_money(cfa_refund_amount(refund)), "state",
                     cfa_refund_state_name(cfa_refund_state_of(refund)), "origin",
                     origins[cfa_refund_origin_of(refund)], "provider_ref", cfa_refund_ref(refund),
                     "failure_code", cfa_refund_failure_code(refund), "reason",
                     cfa_refund_reason(refund), "created_at",
                     view_time(cfa_refund_created_us(refund)), "updated_at",
                     view_time(cfa_refund_updated_us(refund)));
}

json_t *view_dispute(const cfa_dispute *dispute) {
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:s?, s:o, s:o, s:o}", "id",
                     cfa_dispute_id(dispute), "payment_id", cfa_dispute_payment_id(dispute),
                     "provider_ref", cfa_dispute_ref(dispute), "amount",
                     view_money(cfa_dispute_amount(dispute)), "state",
                     cfa_dispute_state_name(cfa_dispute_state_of(dispute)), "withdrawn",
                     view_money(cfa_dispute_withdrawn(dispute)), "reinstated",
                     view_money(cfa_dispute_reinstated(dispute)), "fee",
                     view_money(cfa_dispute_fee(dispute)), "reason", cfa_dispute_reason(dispute),
                     "evidence_due", view_time(cfa_dispute_evidence_due_us(dispute)), "created_at",
                     view_time(cfa_dispute_created_us(dispute)), "updated_at",
                     view_time(cfa_dispute_updated_us(dispute)));
}

/* JSON as it stands in the book; null where there is none, or where somebody made it none. */
static json_t *view_state(const char *text) {
    json_t *state = text ? json_loads(text, 0, NULL) : NULL;
    return state ? state : json_null();
}

json_t *view_act(const cfa_act_view *act) {
    return json_pack("{s:I, s:s, s:s, s:s?, s:s?, s:o, s:o, s:o, s:s?, s:s}", "number",
                     (json_int_t)act->number, "action", act->action, "subject", act->subject,
                     "actor", act->actor, "reason", act->reason, "before", view_state(act->before),
                     "after", view_state(act->after), "created_at", view_time(act->created_us),
                     "previous_hash", act->previous_hash, "hash", act->hash);
}
