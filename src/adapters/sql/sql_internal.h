/*
 * sql_internal.h - shared by the files of this directory only: SQL text from kinds, rows from
 * records, sessions.
 */
#ifndef CFA_ADAPTERS_SQL_INTERNAL_H
#define CFA_ADAPTERS_SQL_INTERNAL_H

#include "adapters/sql/sql_storage.h"
#include "adapters/sql/sql_value.h"

/* All fields of an update, then its key, then the version. */
#define CFA__SQL_PARAMETERS_MAX (CFA__SQL_FIELDS_MAX + CFA_INDEX_FIELDS_MAX + 1)

/* ---- sql_text.c: text ------------------------------------------------------------------------ */

/* Growing text; a failed append is remembered. */
typedef struct cfa__sql_text {
    char *data;
    size_t size, capacity;
    bool failed;
} cfa__sql_text;

void cfa__sql_text_free(cfa__sql_text *text);
void cfa__sql_append(cfa__sql_text *text, const char *more);
void cfa__sql_append_int(cfa__sql_text *text, int64_t value);

void cfa__sql_write_insert(cfa__sql_text *text, const cfa_kind *kind);
void cfa__sql_write_insert_rows(cfa__sql_text *text, const cfa_kind *kind);
/* `mask`: bit n is field n. Parameters: the fields of the mask, the primary key, the version if the
 * kind has one. */
void cfa__sql_write_update(cfa__sql_text *text, const cfa_kind *kind, uint64_t mask);
void cfa__sql_write_delete(cfa__sql_text *text, const cfa_kind *kind);
/* Selects 1 for the primary key and version. */
void cfa__sql_write_guard(cfa__sql_text *text, const cfa_kind *kind);
void cfa__sql_write_position(cfa__sql_text *text, const cfa_kind *kind);
/* Parameters: matched fields, the other index fields if CFA_QUERY_AFTER, `until` if
 * CFA_QUERY_UNTIL, the limit unless `single`. Selects all fields of the kind in order. */
void cfa__sql_write_select(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                           const cfa_kind *kind, int32_t index, int32_t match_count, uint32_t flags,
                           bool single);
/* The statements of migration `version`, but for the row in cfa_schema. */
void cfa__sql_write_migration(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                              const cfa_schema *schema, int32_t version);

/* True when a query's rows can be one at most, so that order and limit are needless. */
bool cfa__sql_is_single(const cfa_kind *kind, int32_t index, int32_t match_count, uint32_t flags);

/* ---- sql_row.c: records ---------------------------------------------------------------------- */

bool cfa__sql_field_differs(const cfa_field *field, const void *a, const void *b);
/* Make a record of the kind from a row of all its fields. NULL with CFA_ENOMEM or CFA_ECORRUPT set
 * in `*status`. */
void *cfa__sql_record_of(const cfa__sql_driver *driver, const cfa_kind *kind,
                         const cfa__sql_row *row, cfa_arena *arena, cfa_status *status);

/* ---- sessions -------------------------------------------------------------------------------- */

#define CFA__SQL_QUERY_FLAGS 8 /* combinations of CFA_QUERY_* */

typedef struct cfa__sql_update_slot {
    uint64_t mask;
    cfa__sql_statement *statement;
} cfa__sql_update_slot;

/* The prepared statements of one kind, made when first used. */
typedef struct cfa__sql_kind_cache {
    cfa__sql_statement *insert, *insert_rows, *delete, *guard, *position;
    cfa__sql_statement **selects;  /* [index][match_count][flags] */
    cfa__sql_update_slot *updates; /* open addressing by mask */
    int32_t update_count;
    uint64_t key_mask, all_mask; /* fields of the primary key; all others */
    uint64_t empty_at;           /* the age in which the table was found empty; 0: never */
} cfa__sql_kind_cache;

typedef struct cfa__sql_session {
    cfa__sql_storage *storage;
    const cfa__sql_driver *driver;
    cfa__sql_connection *connection; /* NULL: opened by the next begin */
    cfa__sql_kind_cache *kinds;      /* by position in the schema; NULL until first used */
    int32_t mode;
    int32_t transaction; /* CFA_SESSION_* of the open one, or 0 */
    bool joined;
    bool failed;   /* an error inside the transaction: only rollback may follow */
    bool broken;   /* an error after which the connection is not trusted */
    bool wrote;    /* in the open transaction */
    bool in_doubt; /* a commit is, and no other has been written over it: keep the connection */
    /* What a write transaction has read stays true for an age: until another connection commits, or
     * an end that is no commit undoes what this session did. */
    uint64_t age;
    int64_t version;         /* the driver's, in this age */
    uint64_t newest_at;      /* the age in which `newest_position` was read; 0: never */
    int64_t newest_position; /* of the log */
} cfa__sql_session;

/* sql_session.c */
cfa__sql_session *cfa__sql_session_of(cfa_session *handle);
cfa_status cfa__sql_misuse(const cfa__sql_session *self, const char *message);
/* Pass a driver's status on and remember what it means for the transaction and the connection. */
cfa_status cfa__sql_note(cfa__sql_session *self, cfa_status status);
/* The age of what is read now; 0 if it must be read again each time. */
uint64_t cfa__sql_age(const cfa__sql_session *self);
/* What load and save need: a transaction that has not failed, and the caches. */
cfa_status cfa__sql_ready(cfa__sql_session *self);

/* sql_statement.c */
cfa_status cfa__sql_make_caches(cfa__sql_session *self);
void cfa__sql_drop_statements(cfa__sql_session *self);
/* The statements of a kind, or NULL with CFA_EMISUSE set: a kind of another schema. */
cfa__sql_kind_cache *cfa__sql_cache_of(cfa__sql_session *self, const cfa_kind *kind);
/* How many parameters name a row: its primary key and, if the kind has one, its version. */
int32_t cfa__sql_identity_size(const cfa_kind *kind);
/* One of the statements that a kind has once: prepare it if this is its first use. */
cfa_status cfa__sql_once(cfa__sql_session *self, cfa__sql_statement **slot, const cfa_kind *kind,
                         int32_t parameters,
                         void (*write)(cfa__sql_text *text, const cfa_kind *kind));
/* The update of the fields in `*mask`, or of more: then `*mask` says so. */
cfa_status cfa__sql_update_statement(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                                     const cfa_kind *kind, uint64_t *mask,
                                     cfa__sql_statement **out);
cfa_status cfa__sql_select_statement(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                                     const cfa_query *query, int32_t parameters,
                                     cfa__sql_statement **out);

#endif
