/*
 * signature.h - signed webhooks: "t=<seconds>,v1=<64 hex digits>" over "<seconds>.<body>" with
 * HMAC-SHA256. Other schemes in the header are ignored, several v1 are tried.
 */
#ifndef CFA_UTIL_SIGNATURE_H
#define CFA_UTIL_SIGNATURE_H

#include <careforall/base.h>

/* Room for "t=", a number, ",v1=", 64 hex digits and a NUL. */
#define CFA__SIGNATURE_SIZE 96

typedef enum cfa__signature_verdict {
    CFA__SIGNATURE_GOOD,
    CFA__SIGNATURE_MISSING,
    CFA__SIGNATURE_MALFORMED,
    CFA__SIGNATURE_MISMATCH, /* the body was altered, or the secret is another one */
    CFA__SIGNATURE_TOO_OLD,
    CFA__SIGNATURE_FROM_THE_FUTURE
} cfa__signature_verdict;

/* Pure; every comparison takes constant time and every secret is tried. */
cfa__signature_verdict cfa__signature_check(cfa_slice header, cfa_slice body,
                                            const cfa_slice *secrets, size_t secret_count,
                                            int64_t now_us);
/* One line for an error. */
const char *cfa__signature_text(cfa__signature_verdict verdict);

void cfa__signature_make(char out[CFA__SIGNATURE_SIZE], cfa_slice secret, cfa_slice body,
                         int64_t at_us);

#endif
