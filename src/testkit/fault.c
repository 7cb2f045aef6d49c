/*
 * fault.c - a storage that passes every call to another one, unless the test decides otherwise.
 *
 * It also notices a caller that goes on after a failure, where only rollback may follow. Never
 * retries, never hides what the inner store said.
 */
#include <careforall/testkit/fault.h>

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define ORIGIN "storage.fault"

struct cfa_fault_storage {
    cfa_storage inner;
    cfa_storage_ops ops; /* with the inner store's name and capabilities */
    cfa_fault_decide decide;
    void *user;
    pthread_mutex_t mutex; /* of everything below */
    bool deciding;         /* `decide` runs, or was left by longjmp with the mutex held */
    uint64_t calls;
    cfa_session *first;
};

struct cfa_session {
    cfa_fault_storage *control;
    cfa_session *inner;
    bool open;   /* a transaction is */
    bool doomed; /* a call was failed here: the inner store does not know */
    cfa_session *previous, *next;
};

/* ---- deciding -------------------------------------------------------------------------------- */

/* What to do with this call; for CFA_FAULT_FAIL also the status to fail with. */
static int32_t ask(cfa_fault_storage *control, int32_t call, cfa_status *out_status) {
    pthread_mutex_lock(&control->mutex);
    cfa_status status = CFA_EIO;
    control->calls++;
    control->deciding = true;
    int32_t action = control->decide != NULL
                         ? control->decide(control->user, call, control->calls, &status)
                         : CFA_FAULT_PASS;
    control->deciding = false;
    pthread_mutex_unlock(&control->mutex);
    *out_status = status != CFA_OK ? status : CFA_EIO;
    return action;
}

static cfa_status injected(cfa_status status) {
    return cfa_error_set(status, ORIGIN, NULL, 0, "a fault that the test asked for");
}

/* CFA_OK: pass the call on. */
static cfa_status admit(cfa_session *session, int32_t call) {
    cfa_status status;
    if (ask(session->control, call, &status) != CFA_FAULT_FAIL) {
        return CFA_OK;
    }
    return injected(status);
}

/* ---- the calls ------------------------------------------------------------------------------- */

static const cfa_storage_ops *inner_ops(const cfa_session *session) {
    return session->control->inner.ops;
}

static cfa_status fault_migrate(void *self, const cfa_schema *schema) {
    cfa_fault_storage *control = self;
    return control->inner.ops->migrate(control->inner.self, schema);
}

static cfa_status fault_session_open(void *self, int32_t mode, cfa_session **out) {
    cfa_fault_storage *control = self;
    cfa_status status;
    if (ask(control, CFA_FAULT_SESSION_OPEN, &status) == CFA_FAULT_FAIL) {
        return injected(status);
    }
    cfa_session *session = cfa_alloc(sizeof(*session));
    if (session == NULL) {
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a session");
    }
    memset(session, 0, sizeof(*session));
    session->control = control;
    status = control->inner.ops->session_open(control->inner.self, mode, &session->inner);
    if (status != CFA_OK) {
        cfa_free(session);
        return status;
    }
    pthread_mutex_lock(&control->mutex);
    session->next = control->first;
    if (control->first != NULL) {
        control->first->previous = session;
    }
    control->first = session;
    pthread_mutex_unlock(&control->mutex);
    *out = session;
    return CFA_OK;
}

static void fault_session_close(cfa_session *session) {
    if (session == NULL) {
        return;
    }
    cfa_fault_storage *control = session->control;
    pthread_mutex_lock(&control->mutex);
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        control->first = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
    pthread_mutex_unlock(&control->mutex);
    control->inner.ops->session_close(session->inner);
    cfa_free(session);
}

static cfa_status fault_begin(cfa_session *session, int32_t mode, int32_t timeout_ms,
                              int64_t *out_now_us) {
    cfa_status status = admit(session, CFA_FAULT_BEGIN);
    if (status != CFA_OK) {
        return status;
    }
    status = inner_ops(session)->begin(session->inner, mode, timeout_ms, out_now_us);
    session->open = status == CFA_OK;
    session->doomed = false;
    return status;
}

static cfa_status fault_commit(cfa_session *session) {
    cfa_status status;
    int32_t action = ask(session->control, CFA_FAULT_COMMIT, &status);
    session->open = false;
    if (session->doomed) {
        inner_ops(session)->rollback(session->inner);
        return cfa_error_set(CFA_EMISUSE, ORIGIN, NULL, 0,
                             "commit after a failed call, where only rollback may follow");
    }
    switch (action) {
    case CFA_FAULT_FAIL: inner_ops(session)->rollback(session->inner); return injected(status);
    case CFA_FAULT_DOUBT_DONE:
        status = inner_ops(session)->commit(session->inner);
        return status == CFA_OK ? injected(CFA_EINDOUBT) : status;
    case CFA_FAULT_DOUBT_NOT_DONE:
        inner_ops(session)->rollback(session->inner);
        return injected(CFA_EINDOUBT);
    default: return inner_ops(session)->commit(session->inner);
    }
}

/* Cannot fail, so CFA_FAULT_FAIL means nothing here. */
static void fault_rollback(cfa_session *session) {
    cfa_status status;
    ask(session->control, CFA_FAULT_ROLLBACK, &status);
    session->open = false;
    session->doomed = false;
    inner_ops(session)->rollback(session->inner);
}

static cfa_status fault_load(cfa_session *session, cfa_query *queries, size_t count,
                             cfa_arena *arena) {
    cfa_status status = admit(session, CFA_FAULT_LOAD);
    session->doomed = session->doomed || status != CFA_OK;
    return status != CFA_OK ? status
                            : inner_ops(session)->load(session->inner, queries, count, arena);
}

static cfa_status fault_save(cfa_session *session, const cfa_save *save,
                             int64_t *out_first_position) {
    cfa_status status = admit(session, CFA_FAULT_SAVE);
    session->doomed = session->doomed || status != CFA_OK;
    return status != CFA_OK ? status
                            : inner_ops(session)->save(session->inner, save, out_first_position);
}

static cfa_status fault_changes(cfa_session *session, int64_t *out) {
    cfa_status status = admit(session, CFA_FAULT_CHANGES);
    return status != CFA_OK ? status : inner_ops(session)->changes(session->inner, out);
}

static cfa_status fault_maintain(cfa_session *session) {
    return inner_ops(session)->maintain(session->inner);
}

static void fault_close(void *self) {
    cfa_fault_storage *control = self;
    assert(control->first == NULL);
    pthread_mutex_destroy(&control->mutex);
    cfa_free(control);
}

/* ---- the wrapper ----------------------------------------------------------------------------- */

cfa_status cfa_fault_storage_new(cfa_storage *out, cfa_fault_storage **out_control,
                                 const cfa_storage *inner, cfa_fault_decide decide, void *user) {
    cfa_fault_storage *control = cfa_alloc(sizeof(*control));
    if (control == NULL) {
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for the wrapper");
    }
    memset(control, 0, sizeof(*control));
    control->inner = *inner;
    control->decide = decide;
    control->user = user;
    pthread_mutex_init(&control->mutex, NULL);
    control->ops.struct_size = sizeof(control->ops);
    control->ops.name = inner->ops->name;
    control->ops.capabilities = inner->ops->capabilities;
    control->ops.migrate = fault_migrate;
    control->ops.session_open = fault_session_open;
    control->ops.session_close = fault_session_close;
    control->ops.begin = fault_begin;
    control->ops.commit = fault_commit;
    control->ops.rollback = fault_rollback;
    control->ops.load = fault_load;
    control->ops.save = fault_save;
    control->ops.changes = inner->ops->changes != NULL ? fault_changes : NULL;
    control->ops.maintain = inner->ops->maintain != NULL ? fault_maintain : NULL;
    control->ops.close = fault_close;
    out->ops = &control->ops;
    out->self = control;
    *out_control = control;
    return CFA_OK;
}

uint64_t cfa_fault_storage_calls(const cfa_fault_storage *control) {
    cfa_fault_storage *self = (cfa_fault_storage *)(uintptr_t)control;
    pthread_mutex_lock(&self->mutex);
    uint64_t calls = self->calls;
    pthread_mutex_unlock(&self->mutex);
    return calls;
}

void cfa_fault_storage_crash(cfa_fault_storage *control) {
    /* A `decide` that was left by longjmp left the mutex with this thread. */
    if (!control->deciding) {
        pthread_mutex_lock(&control->mutex);
    }
    control->deciding = false;
    cfa_session *session = control->first;
    control->first = NULL;
    pthread_mutex_unlock(&control->mutex);
    while (session != NULL) {
        cfa_session *next = session->next;
        if (session->open) {
            control->inner.ops->rollback(session->inner);
        }
        control->inner.ops->session_close(session->inner);
        cfa_free(session);
        session = next;
    }
}
