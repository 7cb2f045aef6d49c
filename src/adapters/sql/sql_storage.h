/*
 * sql_storage.h - the storage vtable over a SQL driver. An adapter embeds a cfa__sql_storage,
 * points its cfa_storage_ops at the functions below, and brings the driver.
 */
#ifndef CFA_ADAPTERS_SQL_STORAGE_H
#define CFA_ADAPTERS_SQL_STORAGE_H

#include "adapters/sql/sql_driver.h"

/* The first member of an adapter's own struct, which is `self` of the storage and of the driver. */
typedef struct cfa__sql_storage {
    const cfa__sql_driver *driver;
    const cfa_schema *schema; /* NULL until migrate; static data of its caller */
    int32_t *slots;           /* kind id -> position in schema->kinds, or -1 */
    int32_t slot_count;
    bool read_only; /* migrate only looks */
} cfa__sql_storage;

void cfa__sql_storage_init(cfa__sql_storage *storage, const cfa__sql_driver *driver);
void cfa__sql_storage_release(cfa__sql_storage *storage);

/* For cfa_storage_ops. */
cfa_status cfa__sql_migrate(void *self, const cfa_schema *schema);
cfa_status cfa__sql_session_open(void *self, int32_t mode, cfa_session **out);
void cfa__sql_session_close(cfa_session *session);
cfa_status cfa__sql_begin(cfa_session *session, int32_t mode, int32_t timeout_ms,
                          int64_t *out_now_us);
cfa_status cfa__sql_commit(cfa_session *session);
void cfa__sql_rollback(cfa_session *session);
cfa_status cfa__sql_load(cfa_session *session, cfa_query *queries, size_t count, cfa_arena *arena);
cfa_status cfa__sql_save(cfa_session *session, const cfa_save *save, int64_t *out_first_position);
cfa_status cfa__sql_changes(cfa_session *session, int64_t *out);
cfa_status cfa__sql_maintain(cfa_session *session);

/*
 * A session inside a transaction that somebody else began and will end. `connection` is the
 * driver's wrapper of that somebody's handle, disconnected with the session (also on failure).
 * Begin and commit are CFA_EMISUSE, rollback does nothing; each save is all or nothing by a
 * savepoint.
 */
cfa_status cfa__sql_session_join(cfa__sql_storage *storage, cfa__sql_connection *connection,
                                 cfa_session **out);

#endif
