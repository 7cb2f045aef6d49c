/*
 * source.h - the provider's own record as a reconciliation reads it, in one handle: what an
 * extension module opens, such as an exported file, another one compares with a book.
 *
 * It owns no behaviour, and not what it reads from. Parsed by SWIG, like shim.h.
 */
#ifndef CAREFORALL_SHIM_SOURCE_H
#define CAREFORALL_SHIM_SOURCE_H

#include <careforall/error.h>
#include <careforall/reconcile.h>
#include <careforall/sys/platform.h>

#ifndef SWIG
#include <string.h>
#endif

typedef struct shim_source shim_source;

#ifndef SWIG
struct shim_source {
    cfa_reconcile_next next;
    void *self;
    char provider[32]; /* whose record it is; empty: not told */
};
#endif

static inline cfa_status shim_source_new(shim_source **out, cfa_reconcile_next next, void *self,
                                         const char *provider)
{
    const size_t size = provider != NULL ? strlen(provider) : 0;
    if (size >= sizeof((*out)->provider))
        return cfa_error_set(CFA_ETOOLONG, "bindings", "provider", 0,
                             "a provider's name has at most 31 bytes");
    shim_source *made = (shim_source *)cfa_alloc(sizeof *made);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for a source");
    made->next = next;
    made->self = self;
    memcpy(made->provider, size > 0 ? provider : "", size + 1);
    *out = made;
    return CFA_OK;
}

/* Before `self`. */
static inline void shim_source_free(shim_source *source)
{
    cfa_free(source);
}

#endif
