/*
 * adapters/memory.h - a store and a sink inside the process, for tests, simulations and trying
 * things out. Part of libcareforall.
 */
#ifndef CAREFORALL_ADAPTERS_MEMORY_H
#define CAREFORALL_ADAPTERS_MEMORY_H

#include <careforall/sys/storage.h>
#include <careforall/sys/transport.h>

CFA_BEGIN

/*
 * Make an empty store that lives until `out->ops->close(out->self)` and is shared by every engine
 * opened on it. Nothing survives the process. Expected: CFA_OK; CFA_ENOMEM. Threading: any thread.
 * Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_memory_storage_new(cfa_storage *out);

/* Make a sink that keeps every event it was sent. Closed by its `ops->close`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_memory_sink_new(cfa_sink *out);
/* Number of events kept, repeats included; and one of them, borrowed until the sink is closed. */
CFA_API size_t cfa_memory_sink_size(const cfa_sink *sink);
CFA_API const cfa_event_view *cfa_memory_sink_at(const cfa_sink *sink, size_t index);

CFA_END

#endif
