/*
 * open.c - opening and closing a book, and the small services every file of the engine uses: time,
 * ids, log.
 */
#include "core/decide/evidence.h"
#include "core/engine/calls.h"
#include "core/engine/circuit.h"
#include "core/engine/job.h"
#include "core/engine/relay.h"
#include "core/engine/totals_cache.h"
#include "util/secure.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ORIGIN "core.engine"

/* ---- the system's platform ------------------------------------------------------------------- */

static int64_t clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_now_us(void *self) {
    (void)self;
    return clock_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(void *self) {
    (void)self;
    return clock_us(CLOCK_BOOTTIME);
}

static cfa_status system_random(void *self, void *out, size_t size) {
    (void)self;
    return cfa__random(out, size);
}

static void system_pause(void *self, int64_t duration_us) {
    (void)self;
    struct timespec pause = { (time_t)(duration_us / 1000000),
                              (long)(duration_us % 1000000) * 1000 };
    nanosleep(&pause, NULL);
}

static void no_log(void *self, const cfa_log_record *record) {
    (void)self;
    (void)record;
}

void cfa__pause(const cfa_engine *engine, int64_t duration_us) {
    engine->platform.pause(engine->platform.self, duration_us);
}

int64_t cfa__wall_us(const cfa_engine *engine) {
    return engine->platform.now_us(engine->platform.self);
}

int64_t cfa__monotonic_us(const cfa_engine *engine) {
    return engine->platform.monotonic_us(engine->platform.self);
}

void cfa__book_time(cfa_engine *engine, int64_t now_us) {
    atomic_store(&engine->newest_monotonic_us, cfa__monotonic_us(engine));
    atomic_store(&engine->newest_us, now_us);
}

int64_t cfa__book_now_us(const cfa_engine *engine) {
    int64_t elapsed_us = cfa__monotonic_us(engine) - atomic_load(&engine->newest_monotonic_us);
    int64_t least_us = atomic_load(&engine->newest_us) + (elapsed_us > 0 ? elapsed_us : 0);
    int64_t wall_us = cfa__wall_us(engine);
    return wall_us > least_us ? wall_us : least_us;
}

cfa_status cfa__draw_ids(cfa_engine *engine, cfa__id *out, size_t count) {
    uint8_t random[CFA__DRAW_MAX][10];
    assert(count <= CFA__DRAW_MAX);
    cfa_status status =
        engine->platform.random(engine->platform.self, random, count * sizeof random[0]);
    if (status != CFA_OK)
        return status;
    int64_t now_us = cfa__wall_us(engine);
    for (size_t i = 0; i < count; i++)
        out[i] = cfa__id_make(now_us, random[i]);
    return CFA_OK;
}

cfa_status cfa__draw_id(cfa_engine *engine, cfa__id *out) { return cfa__draw_ids(engine, out, 1); }

cfa__id cfa__book_hash(const cfa_engine *engine, const char *purpose, cfa_slice text) {
    cfa_slice parts[] = { cfa__slice(purpose), text };
    cfa__id hash;
    cfa__hash(hash.bytes, sizeof hash.bytes, engine->book.secret, parts, 2);
    return hash;
}

void cfa__log(const cfa_engine *engine, int32_t level, const char *event, const char *text) {
    cfa_log_record record = { sizeof record, level, "engine", event, text };
    engine->platform.log(engine->platform.self, &record);
}

cfa_status cfa__engine_check(const cfa_engine *engine) {
    if (engine == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "engine", 0, "the engine is NULL");
    if (engine->pid != getpid()) {
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "engine", 0,
                             "the engine was opened before fork; open it in the child");
    }
    return CFA_OK;
}

cfa_status cfa__call_check(const cfa_engine *engine, const void *out) {
    if (out == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "out", 0,
                             "the call needs somewhere to put its answer");
    return cfa__engine_check(engine);
}

int64_t cfa__deadline_us(const cfa_engine *engine, int32_t timeout_ms) {
    if (timeout_ms == 0)
        timeout_ms = engine->options.timeout_ms;
    return cfa__real_us() + (timeout_ms > 0 ? (int64_t)timeout_ms * 1000 : 0);
}

int64_t cfa__real_us(void) { return clock_us(CLOCK_MONOTONIC); }

int32_t cfa__left_ms(int64_t deadline_us) {
    int64_t left = (deadline_us - cfa__real_us()) / 1000;
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int32_t)left;
}

const cfa_storage *cfa_engine_storage(cfa_engine *engine) {
    return engine == NULL ? NULL : &engine->storage;
}

/* ---- options --------------------------------------------------------------------------------- */

static cfa_status range(const char *field, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most)
        return CFA_OK;
    return cfa_error_format(CFA_EINVAL, ORIGIN, field, 0,
                            "%s is %lld; it must be 0 or %lld to %lld", field, (long long)value,
                            (long long)least, (long long)most);
}

static bool is_sink_name(const char *name) {
    size_t size = name == NULL ? 0 : strlen(name);
    return size >= 1 && size <= 60 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size &&
           strcmp(name, CFA__PROJECTOR_NAME) != 0;
}

/* Bindings as 0.1 had them, before they grew. */
#define SINK_BINDING_LEAST offsetof(cfa_sink_binding, refused_rule)
#define BINDING_SIZE_END (offsetof(cfa_engine_options, sink_binding_size) + sizeof(size_t))

static bool is_zero(const void *memory, size_t from, size_t to) {
    const char *bytes = memory;
    while (from < to && bytes[from] == 0)
        from++;
    return from >= to;
}

cfa_sink_binding cfa__sink_binding_at(const cfa_engine_options *options, int32_t index) {
    cfa_sink_binding binding;
    memset(&binding, 0, sizeof binding);
    memcpy(&binding, (const char *)options->sinks + (size_t)index * options->sink_binding_size,
           options->sink_binding_size < sizeof binding ? options->sink_binding_size
                                                       : sizeof binding);
    return binding;
}

static cfa_status check_binding(const cfa_sink_binding *binding) {
    if (!is_sink_name(binding->name)) {
        return cfa_error_set(CFA_EINVAL, ORIGIN, "sinks", 0,
                             "a sink's name must be 1 to 60 of a-z 0-9 _ - and not \"totals\"");
    }
    if (binding->sink.ops == NULL)
        return cfa_error_format(CFA_EINVAL, ORIGIN, "sinks", 0, "the sink %s is empty",
                                binding->name);
    cfa_status status =
        range("refused_rule", binding->refused_rule, CFA_REFUSED_STOP, CFA_REFUSED_SET_ASIDE);
    return status == CFA_OK ? range("refused_tries", binding->refused_tries, 0, 1000) : status;
}

static cfa_status check_sinks(const cfa_engine_options *options) {
    if (options->sink_count < 0 || options->sink_count > CFA__SINKS_MAX ||
        (options->sink_count > 0 && options->sinks == NULL)) {
        return cfa_error_format(CFA_EINVAL, ORIGIN, "sinks", 0, "sinks must hold 0 to %d sinks",
                                CFA__SINKS_MAX);
    }
    for (int32_t i = 0; i < options->sink_count; i++) {
        cfa_sink_binding binding = cfa__sink_binding_at(options, i);
        if (!is_zero((const char *)options->sinks + (size_t)i * options->sink_binding_size,
                     sizeof binding, options->sink_binding_size))
            return cfa_error_set(CFA_EABI, ORIGIN, "sinks", 0, "built for a newer library");
        cfa_status status = check_binding(&binding);
        if (status != CFA_OK)
            return status;
        for (int32_t other = 0; other < i; other++) {
            if (strcmp(cfa__sink_binding_at(options, other).name, binding.name) == 0)
                return cfa_error_format(CFA_EINVAL, ORIGIN, "sinks", 0, "two sinks are named %s",
                                        binding.name);
        }
    }
    return CFA_OK;
}

/* Copy the options of any size, fill in defaults, check ranges. */
static cfa_status options_take(cfa_engine_options *out, const cfa_engine_options *given) {
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    if (given == NULL || given->struct_size < offsetof(cfa_engine_options, sinks))
        return cfa_error_set(CFA_EINVAL, ORIGIN, "options", 0, "use CFA_ENGINE_OPTIONS_INIT");
    if (!is_zero(given, sizeof options, given->struct_size))
        return cfa_error_set(CFA_EABI, ORIGIN, "options", 0, "built for a newer library");
    memcpy(&options, given,
           given->struct_size < sizeof options ? given->struct_size : sizeof options);
    options.struct_size = sizeof options;
    /* A host built before bindings grew does not know that they have a size. */
    if (given->struct_size < BINDING_SIZE_END)
        options.sink_binding_size = SINK_BINDING_LEAST;
    if (options.sink_count > 0 && options.sink_binding_size < SINK_BINDING_LEAST)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "sink_binding_size", 0,
                             "use CFA_ENGINE_OPTIONS_INIT");
    if (options.provider != NULL && options.provider->ops == NULL)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "provider", 0, "the provider is empty");
    if (options.storage == NULL || options.storage->ops == NULL) {
        return cfa_error_set(CFA_EINVAL, ORIGIN, "storage", 0,
                             "a storage is required: cfa_sqlite_open opens one with the engine");
    }
    if (options.queue_limit == 0)
        options.queue_limit = 65536;
    if (options.batch_limit == 0)
        options.batch_limit = 256;
    if (options.timeout_ms == 0)
        options.timeout_ms = 10000;
    if (options.call_timeout_ms == 0)
        options.call_timeout_ms = 30000;
    if (options.payment_expires_ms == 0)
        options.payment_expires_ms = INT64_C(24) * 3600 * 1000;
    if (options.answer_kept_ms == 0)
        options.answer_kept_ms = INT64_C(30) * 24 * 3600 * 1000;
    if (options.totals_max_age_ms == 0)
        options.totals_max_age_ms = 1000;
    if (options.calls_in_flight == 0)
        options.calls_in_flight = 64;
    if (options.circuit_failures == 0)
        options.circuit_failures = 5;
    if (options.circuit_open_ms == 0)
        options.circuit_open_ms = 30000;
    cfa_status status = check_sinks(&options);
    if (status == CFA_OK)
        status = range("queue_limit", options.queue_limit, 1, 10000000);
    if (status == CFA_OK)
        status = range("batch_limit", options.batch_limit, 1, CFA__BATCH_LIMIT_MAX);
    if (status == CFA_OK)
        status = range("timeout_ms", options.timeout_ms, 1, 3600000);
    if (status == CFA_OK)
        status = range("call_timeout_ms", options.call_timeout_ms, 1, 600000);
    if (status == CFA_OK)
        status =
            range("payment_expires_ms", options.payment_expires_ms, 60000, INT64_C(30) * 86400000);
    if (status == CFA_OK)
        status = range("answer_kept_ms", options.answer_kept_ms, INT64_C(72) * 3600000,
                       INT64_C(3650) * 86400000);
    if (status == CFA_OK)
        status = range("totals_max_age_ms", options.totals_max_age_ms, 1, 3600000);
    if (status == CFA_OK)
        status = range("calls_in_flight", options.calls_in_flight, 1, 4096);
    if (status == CFA_OK)
        status = range("circuit_rule", options.circuit_rule, CFA_CIRCUIT_REJECT, CFA_CIRCUIT_QUEUE);
    if (status == CFA_OK)
        status = range("fraud_rule", options.fraud_rule, CFA_FRAUD_FLAG, CFA_FRAUD_REFUND);
    if (status == CFA_OK)
        status = range("circuit_failures", options.circuit_failures, INT32_MIN, CFA__CIRCUIT_CALLS);
    if (status == CFA_OK)
        status = range("circuit_open_ms", options.circuit_open_ms, 100, 3600000);
    if (status == CFA_OK)
        *out = options;
    return status;
}

/* ---- open ------------------------------------------------------------------------------------ */

static void primitives_open(cfa_engine *engine) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->gather, &attributes);
    pthread_cond_init(&engine->progress, &attributes);
    pthread_mutex_init(&engine->reader_lock, NULL);
    pthread_cond_init(&engine->reader_free, &attributes);
    pthread_mutex_init(&engine->call_lock, NULL);
    pthread_mutex_init(&engine->flight_lock, NULL);
    pthread_mutex_init(&engine->circuit.lock, NULL);
    atomic_init(&engine->circuit.state, CFA__BREAKER_CLOSED);
    pthread_mutex_init(&engine->runner_lock, NULL);
    pthread_condattr_destroy(&attributes);
}

static void platform_take(cfa_engine *engine, const cfa_platform *given) {
    cfa_platform platform = { sizeof platform, NULL,   system_now_us, system_monotonic_us,
                              system_random,   no_log, system_pause };
    if (given != NULL) {
        platform.self = given->self;
        if (given->now_us != NULL)
            platform.now_us = given->now_us;
        if (given->monotonic_us != NULL)
            platform.monotonic_us = given->monotonic_us;
        if (given->random != NULL)
            platform.random = given->random;
        if (given->log != NULL)
            platform.log = given->log;
        bool has_pause = given->struct_size >= offsetof(cfa_platform, pause) + sizeof given->pause;
        if (has_pause && given->pause != NULL)
            platform.pause = given->pause;
    }
    engine->platform = platform;
}

/* Keep a copy of the book's row; its text moves into the engine's memory. */
static cfa_status book_keep(cfa_engine *engine, const cfa__book_answer *answer) {
    cfa__book book = *answer->book;
    cfa_slice *slices[] = { &book.secret, &book.provider, &book.account };
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        if (slices[i]->data == NULL)
            continue;
        slices[i]->data = cfa_arena_copy(engine->memory, slices[i]->data, slices[i]->size);
        if (slices[i]->data == NULL)
            return CFA_ENOMEM;
    }
    engine->book = book;
    cfa__book_time(engine, answer->newest_us);
    cfa_slice none = { "", 0 };
    engine->host_scope = cfa__book_hash(engine, "scope", none);
    cfa__id fingerprint_key = cfa__book_hash(engine, "fingerprint", none);
    memcpy(engine->fingerprint_key, fingerprint_key.bytes, sizeof engine->fingerprint_key);
    atomic_store(&engine->head, answer->head);
    atomic_store(&engine->generation, book.key_generation);
    char uuid[37];
    cfa__id_format_uuid(uuid, book.book_id);
    int written = snprintf(engine->source, sizeof engine->source, "/careforall/%s/%lld", uuid,
                           (long long)book.incarnation);
    assert(written > 0 && (size_t)written < sizeof engine->source);
    (void)written;
    return CFA_OK;
}

static cfa_status book_open(cfa_engine *engine) {
    cfa__command *command = NULL;
    cfa_status status =
        cfa__command_new(&command, engine, cfa__book_open, sizeof(cfa__book_answer));
    if (status != CFA_OK)
        return status;
    cfa__book_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    if (input == NULL) {
        cfa__command_release(engine, command);
        return CFA_ENOMEM;
    }
    status = cfa__draw_id(engine, &input->book_id);
    if (status == CFA_OK)
        status =
            engine->platform.random(engine->platform.self, input->secret, sizeof input->secret);
    input->livemode = engine->options.livemode != 0;
    input->has_provider = engine->provider.ops != NULL;
    if (input->has_provider)
        input->provider = (cfa_slice){ engine->provider_name, strlen(engine->provider_name) };
    input->account = (cfa_slice){ engine->account, strlen(engine->account) };
    command->input = input;
    if (status == CFA_OK)
        status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status == CFA_OK)
        status = book_keep(engine, command->output);
    cfa__command_release(engine, command);
    return status;
}

/* One descriptor for what becomes due here and what moves at the provider. */
static cfa_status descriptors_join(cfa_engine *engine) {
    if (engine->flights == NULL)
        return CFA_OK;
    const cfa_provider *provider = &engine->provider;
    int both[] = { engine->event_descriptor, provider->ops->descriptor(provider->self) };
    engine->poll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    bool joined = engine->poll_descriptor >= 0;
    for (size_t i = 0; i < sizeof both / sizeof both[0] && joined; i++) {
        struct epoll_event event = { .events = EPOLLIN };
        joined =
            both[i] >= 0 && epoll_ctl(engine->poll_descriptor, EPOLL_CTL_ADD, both[i], &event) == 0;
    }
    return joined ? CFA_OK
                  : cfa_error_set(CFA_EIO, ORIGIN, NULL, errno, "no descriptor to wait on");
}

static cfa_status engine_fill(cfa_engine *engine, const cfa_engine_options *options) {
    engine->options = *options;
    engine->storage = *options->storage;
    if (options->provider != NULL) {
        engine->provider = *options->provider;
        engine->provider_name = engine->provider.ops->name;
    }
    engine->pid = getpid();
    engine->event_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    engine->poll_descriptor = -1;
    atomic_init(&engine->operation_due_us, 0);
    platform_take(engine, options->platform);
    primitives_open(engine);
    cfa_status status = cfa_arena_new(&engine->memory);
    if (status != CFA_OK)
        return status;
    const char *account = options->account != NULL ? options->account : "";
    if (strlen(account) > CFA_SCOPE_BYTES_MAX)
        return cfa_error_set(CFA_ETOOLONG, ORIGIN, "account", 0, "the account is too long");
    engine->account = cfa_arena_copy(engine->memory, account, strlen(account));
    if (engine->account == NULL)
        return CFA_ENOMEM;
    status = cfa__draw_id(engine, &engine->instance);
    if (status == CFA_OK)
        status = engine->storage.ops->migrate(engine->storage.self, &cfa__schema);
    if (status == CFA_OK)
        status = book_open(engine);
    if (status == CFA_OK)
        status = cfa__circuit_open(engine);
    if (status == CFA_OK)
        status = cfa__totals_cache_open(engine);
    if (status == CFA_OK)
        status = cfa__relays_open(engine);
    if (status == CFA_OK)
        status = cfa__flights_open(engine);
    if (status == CFA_OK)
        status = descriptors_join(engine);
    return status;
}

cfa_status cfa_engine_open(cfa_engine **out, const cfa_engine_options *given) {
    if (out == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "out", 0, "out is NULL");
    cfa_engine_options options;
    cfa_status status = options_take(&options, given);
    if (status != CFA_OK)
        return status;
    cfa_engine *engine = cfa_alloc(sizeof *engine);
    if (engine == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for an engine");
    memset(engine, 0, sizeof *engine);
    status = engine_fill(engine, &options);
    if (status != CFA_OK) {
        engine->options.owns_storage = 0; /* a failed open leaves the storage with the caller */
        cfa_engine_close(engine);
        return status;
    }
    *out = engine;
    return CFA_OK;
}

/* ---- close ----------------------------------------------------------------------------------- */

/* Refuse what is queued; blocking callers leave by themselves. */
static void refuse_queued(cfa_engine *engine) {
    pthread_mutex_lock(&engine->lock);
    engine->closing = true;
    pthread_cond_broadcast(&engine->progress);
    pthread_cond_broadcast(&engine->gather);
    for (int32_t lane = 0; lane < 2; lane++) {
        for (cfa__command_queue *queue = engine->lanes[lane].first; queue != NULL;
             queue = queue->next) {
            if (queue->blocking)
                pthread_cond_signal(&queue->wake);
        }
    }
    pthread_mutex_unlock(&engine->lock);
    cfa__commands_refuse(engine);
}

static void pools_close(cfa_engine *engine) {
    while (engine->free_commands != NULL) {
        cfa__command_queue *queue = engine->free_commands;
        engine->free_commands = queue->next;
        cfa_arena_free(queue->command.arena);
        pthread_cond_destroy(&queue->wake);
        cfa_free(queue);
    }
    while (engine->free_memory != NULL) {
        cfa__batch_memory *memory = engine->free_memory;
        engine->free_memory = memory->next;
        cfa_arena_free(memory->arena);
        cfa_free(memory);
    }
    while (engine->readers != NULL) {
        cfa__reader *reader = engine->readers;
        engine->readers = reader->next;
        engine->storage.ops->session_close(reader->session);
        cfa_arena_free(reader->arena);
        cfa_free(reader);
    }
}

void cfa_engine_close(cfa_engine *engine) {
    if (engine == NULL || engine->pid != getpid())
        return; /* a fork's copy shares locks and files with its parent: it is left alone */
    cfa__runner_close(engine); /* first: what its calls in progress bring is still committed */
    cfa__flights_land(engine);
    refuse_queued(engine);
    cfa__calls_close(engine);
    cfa__relays_close(engine);
    cfa__job_close(engine, &engine->lease_job);
    cfa__job_close(engine, &engine->project_job);
    cfa__job_close(engine, &engine->upkeep_job);
    cfa__totals_cache_close(engine);
    pools_close(engine);
    if (engine->writer != NULL)
        engine->storage.ops->session_close(engine->writer);
    if (engine->options.owns_storage)
        engine->storage.ops->close(engine->storage.self);
    if (engine->poll_descriptor >= 0)
        close(engine->poll_descriptor);
    if (engine->event_descriptor >= 0)
        close(engine->event_descriptor);
    pthread_mutex_destroy(&engine->lock);
    pthread_cond_destroy(&engine->gather);
    pthread_cond_destroy(&engine->progress);
    pthread_mutex_destroy(&engine->reader_lock);
    pthread_cond_destroy(&engine->reader_free);
    pthread_mutex_destroy(&engine->call_lock);
    pthread_mutex_destroy(&engine->flight_lock);
    pthread_mutex_destroy(&engine->circuit.lock);
    pthread_mutex_destroy(&engine->runner_lock);
    cfa_arena_free(engine->fill_memory);
    cfa_arena_free(engine->memory);
    cfa_free(engine);
}
