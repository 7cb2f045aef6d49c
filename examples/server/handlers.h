/* handlers.h - one function per route; each sets an answer, offloads, or begins an engine call. */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "http.h"

void handle_health(http_request *request);
void handle_ready(http_request *request);
void handle_openapi(http_request *request);
void handle_campaign_create(http_request *request);
void handle_campaign_list(http_request *request);
void handle_campaign_get(http_request *request);
void handle_campaign_update(http_request *request);
void handle_campaign_end(http_request *request);
void handle_totals_get(http_request *request);
void handle_pledge_list(http_request *request);
void handle_pledge_create(http_request *request);
void handle_pledge_get(http_request *request);
void handle_explain(http_request *request);
void handle_doctor(http_request *request);
void handle_remedy(http_request *request);
void handle_audit_begin(http_request *request);
void handle_audit_latest(http_request *request);
void handle_reconciliation_begin(http_request *request);
void handle_reconciliation_latest(http_request *request);
/* What precedes `handle_record`: the head alone is there. */
bool prepare_audit_record(http_request *request);
bool prepare_reconciliation_record(http_request *request);
void handle_record(http_request *request);
void handle_act_list(http_request *request);
void handle_payment_get(http_request *request);
void handle_payment_accept(http_request *request);
void handle_payment_capture(http_request *request);
void handle_payment_cancel(http_request *request);
void handle_refund_create(http_request *request);
void handle_refund_get(http_request *request);
void handle_refund_list(http_request *request);
void handle_dispute_get(http_request *request);
void handle_dispute_list(http_request *request);
void handle_webhook(http_request *request);
void handle_play_confirm(http_request *request);

#endif
