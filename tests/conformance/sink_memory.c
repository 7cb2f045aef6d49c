/*
 * sink_memory.c - the memory sink's conformance.
 */
#include <careforall/adapters/memory.h>
#include <careforall/testkit/conformance.h>

static cfa_status open_sink(cfa_sink *out, int32_t fresh) {
    if (!fresh) {
        return cfa_error_set(CFA_ENOTSUP, "conformance", NULL, 0, "nothing survives the close");
    }
    return cfa_memory_sink_new(out);
}

static void close_sink(cfa_sink *sink) { sink->ops->close(sink->self); }

static cfa_status read_event(cfa_sink *sink, size_t index, int64_t *out_position, cfa_arena *arena,
                             cfa_slice *out_data) {
    if (index >= cfa_memory_sink_size(sink)) {
        return cfa_error_set(CFA_ENOTFOUND, "conformance", NULL, 0, "no such event");
    }
    const cfa_event_view *event = cfa_memory_sink_at(sink, index);
    const void *data = cfa_arena_copy(arena, event->data.data, event->data.size);
    if (data == NULL) {
        return CFA_ENOMEM;
    }
    *out_position = event->position;
    *out_data = (cfa_slice){ data, event->data.size };
    return CFA_OK;
}

int main(int argc, char **argv) {
    const cfa_sink_fixture fixture = { sizeof fixture, "memory", open_sink, close_sink,
                                       read_event };
    return cfa_conformance_sink(argc, argv, &fixture);
}
