/*
 * hooked.h - the play provider with a hook before it: a test sees every call and may answer it
 * itself, lose it, or let time pass in the middle of it.
 */
#ifndef TESTS_CORE_HOOKED_H
#define TESTS_CORE_HOOKED_H

#include "support/book.h"

#include <stdatomic.h>

typedef void (*hooked_hook)(struct book *book, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *out);

struct hooked {
    hooked_hook hook; /* NULL: the play provider answers */
    atomic_int calls, kinds[CFA_CALL_REFUND + 1];
    struct book *book;
    cfa_provider_ops ops;
    cfa_provider provider;
};

/* Put the hook before the play provider of a book that is prepared and not started; neither may
 * move. */
void hooked_use(struct hooked *hooked, struct book *book, hooked_hook hook);
/* For hooks: what the play provider does and answers. */
void hooked_pass(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out);

/* Make a pledge and leave its provider call to whoever finds it; owned. */
cfa_pledge *commit_only(struct book *book, const char *key, int64_t minor);

#endif
