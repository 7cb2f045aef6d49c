/* panel.h - /_sandbox: the books, the clock, the faults, and a donor's hand for load tests. */
#ifndef SANDBOX_PANEL_H
#define SANDBOX_PANEL_H

#include "sandbox.h"

void panel_handle(call *c);

#endif
