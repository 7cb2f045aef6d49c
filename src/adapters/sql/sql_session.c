/*
 * sql_session.c - the life of sessions and their transactions, and the rule that a connection which
 * failed is replaced at the next begin.
 */
#include "adapters/sql/sql_internal.h"

#include <string.h>

cfa__sql_session *cfa__sql_session_of(cfa_session *handle) { return (cfa__sql_session *)handle; }

cfa_status cfa__sql_misuse(const cfa__sql_session *self, const char *message) {
    return cfa_error_set(CFA_EMISUSE, self->driver->origin, NULL, 0, message);
}

/* Pass a driver's status on and remember what it means for the transaction and the connection. */
cfa_status cfa__sql_note(cfa__sql_session *self, cfa_status status) {
    if (status != CFA_OK) {
        self->failed = true;
        if (!self->in_doubt &&
            (status == CFA_EIO || status == CFA_ECORRUPT || status == CFA_EINDOUBT)) {
            self->broken = true;
        }
    }
    return status;
}

uint64_t cfa__sql_age(const cfa__sql_session *self) {
    bool is_stable =
        self->driver->version != NULL && !self->joined && self->transaction == CFA_SESSION_WRITE;
    return is_stable ? self->age : 0;
}

/* At the start of a write transaction: has anybody else written since this session did? */
static void check_age(cfa__sql_session *self) {
    int64_t version = 0;
    if (!self->driver->version(self->connection, &version) || version != self->version) {
        self->age++;
    }
    self->version = version;
}

static void disconnect(cfa__sql_session *self) {
    self->age++; /* versions of two connections cannot be compared */
    cfa__sql_drop_statements(self);
    if (self->connection != NULL) {
        self->driver->disconnect(self->connection);
        self->connection = NULL;
    }
    self->broken = self->in_doubt = false;
}

static cfa_status connect(cfa__sql_session *self) {
    if (self->broken) {
        disconnect(self);
    }
    return self->connection != NULL
               ? CFA_OK
               : self->driver->connect(self->storage, self->mode, false, &self->connection);
}

static cfa_status session_new(cfa__sql_storage *storage, int32_t mode, cfa__sql_session **out) {
    cfa__sql_session *self = cfa_alloc(sizeof(*self));
    if (self == NULL) {
        return cfa_error_set(CFA_ENOMEM, storage->driver->origin, NULL, 0, "out of memory");
    }
    memset(self, 0, sizeof(*self));
    self->storage = storage;
    self->driver = storage->driver;
    self->mode = mode;
    self->age = 1;
    *out = self;
    return CFA_OK;
}

cfa_status cfa__sql_session_open(void *storage, int32_t mode, cfa_session **out) {
    cfa__sql_session *self;
    cfa_status status = session_new(storage, mode, &self);
    if (status != CFA_OK) {
        return status;
    }
    status = connect(self);
    if (status != CFA_OK) {
        cfa_free(self);
        return status;
    }
    *out = (cfa_session *)self;
    return CFA_OK;
}

cfa_status cfa__sql_session_join(cfa__sql_storage *storage, cfa__sql_connection *connection,
                                 cfa_session **out) {
    cfa__sql_session *self;
    cfa_status status = session_new(storage, CFA_SESSION_WRITE, &self);
    if (status != CFA_OK) {
        storage->driver->disconnect(connection);
        return status;
    }
    self->connection = connection;
    self->transaction = CFA_SESSION_WRITE;
    self->joined = true;
    *out = (cfa_session *)self;
    return CFA_OK;
}

void cfa__sql_session_close(cfa_session *handle) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    if (self == NULL) {
        return;
    }
    cfa__sql_rollback(handle);
    disconnect(self);
    cfa_free(self);
}

cfa_status cfa__sql_begin(cfa_session *handle, int32_t mode, int32_t timeout_ms,
                          int64_t *out_now_us) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    if (self->joined || self->transaction != 0) {
        return cfa__sql_misuse(self, "a transaction is open already");
    }
    if (mode == CFA_SESSION_WRITE && self->mode != CFA_SESSION_WRITE) {
        return cfa__sql_misuse(self, "the session was opened for reading");
    }
    cfa_status status = connect(self);
    if (status != CFA_OK) {
        return status;
    }
    status =
        cfa__sql_note(self, self->driver->begin(self->connection, mode, timeout_ms, out_now_us));
    if (status == CFA_OK) {
        self->transaction = mode;
    }
    if (cfa__sql_age(self) != 0) {
        check_age(self);
    }
    self->failed = self->wrote = false;
    return status;
}

cfa_status cfa__sql_commit(cfa_session *handle) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    if (self->joined || self->transaction == 0) {
        return cfa__sql_misuse(self, self->joined ? "a joined transaction is committed by its host"
                                                  : "no transaction is open");
    }
    if (self->failed) {
        cfa__sql_rollback(handle);
        return cfa_error_set(CFA_EBUG, self->driver->origin, NULL, 0,
                             "commit after an error in the transaction; it was rolled back");
    }
    bool aging = cfa__sql_age(self) != 0;
    self->transaction = 0;
    cfa_status status = self->driver->commit(self->connection);
    if (aging && (status != CFA_OK || !self->driver->version(self->connection, &self->version))) {
        self->age++;
    }
    if (status == CFA_EINDOUBT && self->driver->outlives_doubt) {
        self->in_doubt = true;
    } else if (status == CFA_OK && self->wrote) {
        self->in_doubt = false;
    }
    status = cfa__sql_note(self, status);
    self->failed = false;
    return status;
}

void cfa__sql_rollback(cfa_session *handle) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    if (self->joined || self->transaction == 0) {
        return;
    }
    self->transaction = 0;
    self->failed = false;
    self->age++;
    if (!self->driver->rollback(self->connection)) {
        self->broken = true;
    }
}

/* What load and save need: a transaction that has not failed, and the caches. */
cfa_status cfa__sql_ready(cfa__sql_session *self) {
    if (self->transaction == 0 || (self->failed && !self->joined)) {
        return cfa__sql_misuse(self, self->failed
                                         ? "the transaction failed: only rollback may follow"
                                         : "no transaction is open");
    }
    return self->kinds != NULL ? CFA_OK : cfa__sql_make_caches(self);
}

/* ---- the rest -------------------------------------------------------------------------------- */

cfa_status cfa__sql_changes(cfa_session *handle, int64_t *out) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    cfa_status status = self->transaction == 0 ? connect(self) : CFA_OK;
    return status != CFA_OK ? status
                            : cfa__sql_note(self, self->driver->changes(self->connection, out));
}

cfa_status cfa__sql_maintain(cfa_session *handle) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    if (self->transaction != 0 || self->mode != CFA_SESSION_WRITE) {
        return cfa__sql_misuse(self, "maintenance needs a write session outside a transaction");
    }
    cfa_status status = connect(self);
    return status != CFA_OK ? status
                            : cfa__sql_note(self, self->driver->maintain(self->connection));
}
