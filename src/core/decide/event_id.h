/*
 * event_id.h - how the id of an event follows from what it is about, for those who write events and
 * those who check them.
 */
#ifndef CFA_CORE_DECIDE_EVENT_ID_H
#define CFA_CORE_DECIDE_EVENT_ID_H

#include "util/id.h"

cfa__id cfa__event_id(int64_t now_us, cfa__id subject, int64_t sequence);

#endif
