/* view.h - the engine's snapshots as JSON. What the public may see is decided here and nowhere
 * else. */
#ifndef SERVER_VIEW_H
#define SERVER_VIEW_H

#include <careforall/careforall.h>
#include <jansson.h>

#include <stdbool.h>

/* Each makes a new reference, or NULL when out of memory. */
json_t *view_time(int64_t time_us); /* 0: null */
json_t *view_money(cfa_money amount);
json_t *view_campaign(const cfa_campaign *campaign);
json_t *view_totals(const cfa_totals *totals);
/* `complete`: with the donor's personal data, for the service alone. */
json_t *view_pledge(const cfa_pledge *pledge, bool complete);

json_t *view_payment(const cfa_payment *payment);
json_t *view_refund(const cfa_refund *refund);
json_t *view_dispute(const cfa_dispute *dispute);
json_t *view_act(const cfa_act_view *act);

#endif
