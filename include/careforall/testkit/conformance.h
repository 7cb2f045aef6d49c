/*
 * testkit/conformance.h - the duties of storage, sink and provider adapters as tests. An adapter is
 * done when its three-line main passes:
 *
 *     int main(int argc, char **argv) { return cfa_conformance_storage(argc, argv, &my_fixture); }
 *
 * `argv[1]` runs one test by name, "--list" lists them. The last line printed is "N passed, N
 * failed"; the result is an exit code.
 */
#ifndef CAREFORALL_TESTKIT_CONFORMANCE_H
#define CAREFORALL_TESTKIT_CONFORMANCE_H

#include <careforall/sys/provider.h>
#include <careforall/sys/storage.h>
#include <careforall/sys/transport.h>

CFA_BEGIN

typedef struct cfa_storage_fixture {
    size_t struct_size;
    const char *name;
    /* Make a store: empty when `fresh`, else what the last one of this process holds on disk. */
    cfa_status (*open)(cfa_storage *out, int32_t fresh);
    void (*close)(cfa_storage *storage);
} cfa_storage_fixture;

typedef struct cfa_sink_fixture {
    size_t struct_size;
    const char *name;
    cfa_status (*open)(cfa_sink *out, int32_t fresh);
    void (*close)(cfa_sink *sink);
    /* Write position and data of the n-th event that the sink made durable; CFA_ENOTFOUND beyond
     * the last. */
    cfa_status (*read)(cfa_sink *sink, size_t index, int64_t *out_position, cfa_arena *arena,
                       cfa_slice *out_data);
} cfa_sink_fixture;

typedef struct cfa_provider_fixture {
    size_t struct_size;
    const char *name;
    cfa_status (*open)(cfa_provider *out);
    void (*close)(cfa_provider *provider);
    /* Confirm a created payment as its donor would; NULL for one-step providers. */
    cfa_status (*confirm)(cfa_provider *provider, const char *client_secret,
                          const char *payment_method);
    /* Number of successful charges that the provider's books show for a payment id. */
    cfa_status (*charges)(cfa_provider *provider, const char *payment_id, int64_t *out);
    const char *method_ok;
    const char *method_declined;
    /* Take the next webhook's signature and body (freed by `cfa_free`), or NULL bodies; NULL: no
     * webhooks. */
    cfa_status (*webhook)(cfa_provider *provider, char **out_signature, char **out_body);
    int64_t (*now_us)(cfa_provider *provider);
    /* Number and sum of the refunds of a payment id that the provider's books show, but for failed
     * and canceled ones; NULL: this provider gives no money back. */
    cfa_status (*refunds)(cfa_provider *provider, const char *payment_id, int64_t *out_count,
                          int64_t *out_minor);
    /* Lose the reply of the next call, whose effect stays; NULL: cannot be done here. */
    cfa_status (*lose_reply)(cfa_provider *provider);
    /* The same for the next page that is listed. */
    cfa_status (*lose_page)(cfa_provider *provider);
    /* Pay out to the account's owner all that was captured; NULL: cannot be done here. */
    cfa_status (*pay_out)(cfa_provider *provider);
} cfa_provider_fixture;

CFA_API int cfa_conformance_storage(int argc, char **argv, const cfa_storage_fixture *fixture);
CFA_API int cfa_conformance_sink(int argc, char **argv, const cfa_sink_fixture *fixture);
CFA_API int cfa_conformance_provider(int argc, char **argv, const cfa_provider_fixture *fixture);

CFA_END

#endif
