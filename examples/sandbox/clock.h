/* clock.h - the sandbox's clock and what falls due on it. */
#ifndef SANDBOX_CLOCK_H
#define SANDBOX_CLOCK_H

#include "sandbox.h"

void jobs_start(sandbox *box);
void jobs_stop(sandbox *box);
/* Something was committed: look when the next job falls due. */
void jobs_wake(sandbox *box);
/* Do `what` with `id` as soon as the sandbox does later things. */
void job_later(sandbox *box, const char *what, const char *id);
void clock_advance(sandbox *box, int64_t seconds);

#endif
