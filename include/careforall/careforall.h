/* careforall.h - everything an application needs; adapters have headers of their own. */
#ifndef CAREFORALL_H
#define CAREFORALL_H

#include <careforall/act.h>
#include <careforall/audit.h>
#include <careforall/base.h>
#include <careforall/campaign.h>
#include <careforall/dispute.h>
#include <careforall/engine.h>
#include <careforall/error.h>
#include <careforall/event.h>
#include <careforall/explain.h>
#include <careforall/money.h>
#include <careforall/payment.h>
#include <careforall/pledge.h>
#include <careforall/reconcile.h>
#include <careforall/refund.h>
#include <careforall/totals.h>

#endif
