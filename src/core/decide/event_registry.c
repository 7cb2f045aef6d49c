/*
 * event_registry.c - names of event types, from the one list. It must never name a type that is not
 * in the list.
 */
#include "core/decide/event_registry.h"

#include <stddef.h>

#define TEXT2(number) #number
#define TEXT(number) TEXT2(number)

const char *cfa__event_type_name(cfa__event_type type) {
    switch (type) {
#define EVENT_CASE(symbol, number, version, name, doc)                                             \
    case number: return "org.careforall." name ".v" TEXT(version);
        CFA__EVENT_MAP(EVENT_CASE)
#undef EVENT_CASE
    default: return NULL;
    }
}
