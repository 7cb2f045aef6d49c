/*
 * sql_internal.h - shared by the files of this directory only: SQL text from kinds, rows from records, sessions.
 */
#ifndef CFA_ADAPTERS_SQL_INTERNAL_H
#define CFA_ADAPTERS_SQL_INTERNAL_H

#include "adapters/sql/sql_storage.h"

/* A kind has at most 64 fields, so that a set of them is one word. */
#define CFA__SQL_FIELDS_MAX 64
/* All fields of an update, then its key, then the version. */
#define CFA__SQL_PARAMETERS_MAX (CFA__SQL_FIELDS_MAX + CFA_INDEX_FIELDS_MAX + 1)

/* ---- sql_text.c: text ----------------------------------------------------------------------------- */

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
/* `mask`: bit n is field n. Parameters: the fields of the mask, the primary key, the version if the kind has one. */
void cfa__sql_write_update(cfa__sql_text *text, const cfa_kind *kind, uint64_t mask);
void cfa__sql_write_delete(cfa__sql_text *text, const cfa_kind *kind);
/* Selects 1 for the primary key and version. */
void cfa__sql_write_guard(cfa__sql_text *text, const cfa_kind *kind);
void cfa__sql_write_position(cfa__sql_text *text, const cfa_kind *kind);
/* Parameters: matched fields, the other index fields if CFA_QUERY_AFTER, `until` if CFA_QUERY_UNTIL, the limit unless
 * `single`. Selects all fields of the kind in order. */
void cfa__sql_write_select(cfa__sql_text *text, const cfa__sql_dialect *dialect, const cfa_kind *kind,
                           int32_t index, int32_t match_count, uint32_t flags, bool single);
/* The statements of migration `version`, but for the row in cfa_schema. */
void cfa__sql_write_migration(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                              const cfa_schema *schema, int32_t version);

/* True when a query's rows can be one at most, so that order and limit are needless. */
bool cfa__sql_is_single(const cfa_kind *kind, int32_t index, int32_t match_count, uint32_t flags);

/* ---- sql_row.c: records --------------------------------------------------------------------------- */

cfa__sql_value cfa__sql_value_of(const cfa_field *field, const void *record);
bool cfa__sql_field_differs(const cfa_field *field, const void *a, const void *b);
/* Make a record of the kind from a row of all its fields. NULL with CFA_ENOMEM or CFA_ECORRUPT set in `*status`. */
void *cfa__sql_record_of(const cfa__sql_driver *driver, const cfa_kind *kind, const cfa__sql_row *row,
                         cfa_arena *arena, cfa_status *status);

#endif
