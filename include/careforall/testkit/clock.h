/*
 * testkit/clock.h - a clock and randomness that only the test moves. Library careforall-testkit.
 */
#ifndef CAREFORALL_TESTKIT_CLOCK_H
#define CAREFORALL_TESTKIT_CLOCK_H

#include <careforall/sys/platform.h>

CFA_BEGIN

typedef struct cfa_manual_clock cfa_manual_clock;

/* Make a clock that stands at `start_us` (0: 2026-01-01) and a generator seeded with `seed`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_manual_clock_new(cfa_manual_clock **out, int64_t start_us,
                                                       uint64_t seed);
CFA_API void cfa_manual_clock_free(cfa_manual_clock *clock);
/* The platform to give to engines and adapters; borrowed. Its log goes nowhere; its pauses move the
 * clocks. */
CFA_API const cfa_platform *cfa_manual_clock_platform(cfa_manual_clock *clock);
/* Move both clocks forward. */
CFA_API void cfa_manual_clock_advance(cfa_manual_clock *clock, int64_t by_us);
/* Move the wall clock alone, also backward, as an operator or NTP would. */
CFA_API void cfa_manual_clock_jump(cfa_manual_clock *clock, int64_t by_us);
CFA_API int64_t cfa_manual_clock_now_us(cfa_manual_clock *clock);
/* The next 64 bits of the generator. Threading for all: any thread. */
CFA_API uint64_t cfa_manual_clock_draw(cfa_manual_clock *clock);

CFA_END

#endif
