/*
 * faults.h - the fault panel: rates and one-shot faults, drawn from the seeded generator. Decides
 * only; http.c and deliver.c do what it says.
 */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include "sandbox.h"

typedef struct faults faults;

/* What happens to one API request. At most one of the booleans is set; `delay_ms` goes with any. */
typedef struct fault_plan {
    bool reset_before, reset_after, reset_middle, reply_lost;
    bool error_before, error_after, rate_limited, unavailable;
    int drip_ms; /* of the whole reply; 0: none */
    int delay_ms;
} fault_plan;

/* What happens to one webhook delivery. */
typedef struct webhook_fault {
    bool lost;
    int copies;       /* 1: as it should be */
    int64_t delay_ms; /* of the clock */
} webhook_fault;

faults *faults_new(sandbox *box);
void faults_free(faults *f);
/* `name=2%`, `name=500ppm`, `delay_ms=30`, `outage=on`. False: not understood. */
bool faults_flag(faults *f, const char *text);
fault_plan faults_draw(faults *f, const char *method, const char *path);
webhook_fault faults_draw_webhook(faults *f, const char *type);
/* GET and POST /_sandbox/faults. */
json_t *faults_show(const faults *f);
/* NULL when applied, else what is wrong. */
const char *faults_apply(faults *f, const json_t *wanted);

#endif
