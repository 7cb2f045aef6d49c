/* page.h - the hosted payment page: plain HTML, no scripts. */
#ifndef SANDBOX_PAGE_H
#define SANDBOX_PAGE_H

#include "sandbox.h"

void page_handle(call *c);

#endif
