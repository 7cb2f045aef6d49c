/*
 * finding.c - differences as they are found, and the report that is made of them. A report is bounded:
 * of each check so many are listed, and all are counted.
 */
#include "core/audit/audit.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int32_t severity;
    const char *rule;
} checks[CFA__AUDIT_CHECKS] = {
#define AUDIT_ROW(symbol, name, severity, doc) { name, CFA_AUDIT_##severity, doc },
    CFA__AUDIT_CHECK_MAP(AUDIT_ROW)
#undef AUDIT_ROW
};

const char *cfa__audit_check_name(int32_t check) {
    return check >= 0 && check < CFA__AUDIT_CHECKS ? checks[check].name : NULL;
}

int32_t cfa__audit_severity(int32_t check) { return checks[check].severity; }

const char *cfa__audit_rule(int32_t check) { return checks[check].rule; }

/* ---- places ---------------------------------------------------------------------------------- */

cfa__place cfa__place_of(const char *prefix, cfa__id id) {
    return (cfa__place){ .prefix = prefix, .id = id };
}

cfa__place cfa__place_of_payment(const cfa__payment *payment) {
    cfa__place place = cfa__place_of("pay", payment->id);
    place.payment_id = payment->id;
    place.campaign_id = payment->campaign_id;
    memcpy(place.currency, payment->currency, sizeof place.currency);
    return place;
}

static void name_subject(char out[CFA__AUDIT_TEXT_SIZE], const cfa__place *place) {
    char id[CFA_ID_TEXT_SIZE] = "";
    if (place->prefix != NULL)
        cfa__id_format(id, place->prefix, place->id);
    const char *name = place->prefix != NULL ? id : place->text;
    if (name == NULL)
        snprintf(out, CFA__AUDIT_TEXT_SIZE, "position %lld", (long long)place->position);
    else if (place->number != 0)
        snprintf(out, CFA__AUDIT_TEXT_SIZE, "%s/%lld", name, (long long)place->number);
    else if (place->prefix != NULL && place->prefix[0] == 'c' && place->currency[0] != '\0')
        snprintf(out, CFA__AUDIT_TEXT_SIZE, "%s %.3s", name, place->currency);
    else
        snprintf(out, CFA__AUDIT_TEXT_SIZE, "%s", name);
}

/* ---- noting ---------------------------------------------------------------------------------- */

static cfa__finding *new_finding(cfa__audit *audit, int32_t check, const cfa__place *place,
                                 const char *field) {
    int64_t at = audit->counts[check]++;
    if (at >= CFA__AUDIT_FINDINGS_MAX)
        return NULL;
    if (audit->findings[check] == NULL) {
        audit->findings[check] =
            cfa_arena_alloc(audit->arena, CFA__AUDIT_FINDINGS_MAX * sizeof(cfa__finding));
        if (audit->findings[check] == NULL) {
            audit->status = CFA_ENOMEM;
            return NULL;
        }
    }
    cfa__finding *finding = &audit->findings[check][at];
    finding->check = check;
    finding->place = *place;
    name_subject(finding->subject, place);
    finding->place.text = finding->subject;
    snprintf(finding->field, sizeof finding->field, "%s", field != NULL ? field : "");
    return finding;
}

void cfa__audit_texts(cfa__audit *audit, int32_t check, const cfa__place *place, const char *field,
                      const char *expected, const char *found) {
    cfa__finding *finding = new_finding(audit, check, place, field);
    if (finding == NULL)
        return;
    snprintf(finding->expected, sizeof finding->expected, "%s", expected);
    snprintf(finding->found, sizeof finding->found, "%s", found);
}

void cfa__audit_numbers(cfa__audit *audit, int32_t check, const cfa__place *place,
                        const char *field, int64_t expected, int64_t found) {
    cfa__finding *finding = new_finding(audit, check, place, field);
    if (finding == NULL)
        return;
    snprintf(finding->expected, sizeof finding->expected, "%lld", (long long)expected);
    snprintf(finding->found, sizeof finding->found, "%lld", (long long)found);
}

bool cfa__audit_compare(cfa__audit *audit, int32_t check, const cfa__place *place,
                        const char *field, int64_t expected, int64_t found) {
    if (expected != found)
        cfa__audit_numbers(audit, check, place, field, expected, found);
    return expected != found;
}

void cfa__audit_no_payment(cfa__audit *audit, cfa__id payment_id) {
    cfa__place place = cfa__place_of("pay", payment_id);
    place.payment_id = payment_id;
    int64_t known = audit->counts[CFA__AUDIT_PAYMENT_MISSING];
    for (int64_t i = 0; i < known && i < CFA__AUDIT_FINDINGS_MAX; i++) {
        if (cfa__id_compare(audit->findings[CFA__AUDIT_PAYMENT_MISSING][i].place.id, payment_id) ==
            0)
            return;
    }
    if (cfa__id_compare(audit->last_missing, payment_id) != 0)
        cfa__audit_texts(audit, CFA__AUDIT_PAYMENT_MISSING, &place, NULL, "the payment",
                         "only rows that belong to it");
    audit->last_missing = payment_id;
}

/* ---- whose fault ----------------------------------------------------------------------------- */

static cfa__finding *find(const cfa__audit *audit, int32_t check, cfa__id payment_id) {
    for (int64_t i = 0; i < audit->counts[check] && i < CFA__AUDIT_FINDINGS_MAX; i++) {
        cfa__finding *finding = &audit->findings[check][i];
        if (!finding->dropped && cfa__id_compare(finding->place.payment_id, payment_id) == 0)
            return finding;
    }
    return NULL;
}

static void drop(cfa__audit *audit, cfa__finding *finding) {
    if (!finding->dropped)
        audit->dropped[finding->check]++;
    finding->dropped = true;
}

/* Payment, event and contribution row say the same: of three, the one that stands alone is wrong.
 * Payment against row was compared, and row against event. */
void cfa__audit_judge(cfa__audit *audit) {
    static const int32_t of_row[] = { CFA__AUDIT_CONTRIBUTION_SEQUENCE,
                                      CFA__AUDIT_CONTRIBUTION_IDENTITY,
                                      CFA__AUDIT_CONTRIBUTION_DIFFERS };
    if (!cfa__id_is_null(audit->campaign_id))
        return; /* without the log there are but two */
    int64_t count = audit->counts[CFA__AUDIT_CONTRIBUTION_DIFFERS];
    for (int64_t i = 0; i < count && i < CFA__AUDIT_FINDINGS_MAX; i++) {
        cfa__finding *row = &audit->findings[CFA__AUDIT_CONTRIBUTION_DIFFERS][i];
        if (find(audit, CFA__AUDIT_LOG_CONTRIBUTION, row->place.payment_id) != NULL)
            continue;
        drop(audit, row); /* the payment stands alone: both others say what was found */
        cfa__audit_texts(audit, CFA__AUDIT_PAYMENT_FACTS, &row->place, row->field, row->found,
                         row->expected);
    }
    count = audit->counts[CFA__AUDIT_LOG_CONTRIBUTION];
    for (int64_t i = 0; i < count && i < CFA__AUDIT_FINDINGS_MAX; i++) {
        cfa__finding *event = &audit->findings[CFA__AUDIT_LOG_CONTRIBUTION][i];
        for (size_t j = 0; j < sizeof of_row / sizeof of_row[0]; j++) {
            if (find(audit, of_row[j], event->place.payment_id) != NULL)
                drop(audit, event); /* the row does */
        }
    }
}
