/*
 * sql_text.c - SQL from the description of kinds: tables, indexes, statements. Runs once per
 * statement and session, never per row. Parameters appear in ascending order, each first at its own
 * number, so that databases which number by appearance and those which number by name agree.
 */
#include "adapters/sql/sql_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- building text --------------------------------------------------------------------------- */

void cfa__sql_text_free(cfa__sql_text *text) {
    cfa_free(text->data);
    memset(text, 0, sizeof(*text));
}

void cfa__sql_append(cfa__sql_text *text, const char *more) {
    size_t size = strlen(more);
    if (text->failed) {
        return;
    }
    if (text->capacity - text->size <= size) {
        size_t capacity = (text->capacity + size) * 2 + 256;
        char *data = cfa_realloc(text->data, capacity);
        if (data == NULL) {
            text->failed = true;
            return;
        }
        text->data = data;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, more, size + 1);
    text->size += size;
}

void cfa__sql_append_int(cfa__sql_text *text, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, value);
    cfa__sql_append(text, digits);
}

static void append_parameter(cfa__sql_text *text, int32_t number) {
    cfa__sql_append(text, "$");
    cfa__sql_append_int(text, number);
}

static void append_table(cfa__sql_text *text, const cfa_kind *kind) {
    cfa__sql_append(text, "cfa_");
    cfa__sql_append(text, kind->name);
}

static const char *index_column(const cfa_kind *kind, const cfa_index *index, int32_t position) {
    return kind->fields[index->fields[position]].name;
}

/* "a, b, c" from the fields of an index, from position `first` on, each followed by `suffix`. */
static void append_index_columns(cfa__sql_text *text, const cfa_kind *kind, const cfa_index *index,
                                 int32_t first, const char *suffix) {
    for (int32_t i = first; i < index->field_count; i++) {
        cfa__sql_append(text, i > first ? ", " : "");
        cfa__sql_append(text, index_column(kind, index, i));
        cfa__sql_append(text, suffix);
    }
}

static void append_all_columns(cfa__sql_text *text, const cfa_kind *kind) {
    for (int32_t i = 0; i < kind->field_count; i++) {
        cfa__sql_append(text, i > 0 ? ", " : "");
        cfa__sql_append(text, kind->fields[i].name);
    }
}

/* "a = $1 AND b = $2"; returns the next free parameter. */
static int32_t append_matches(cfa__sql_text *text, const cfa_kind *kind, const cfa_index *index,
                              int32_t count, int32_t parameter) {
    for (int32_t i = 0; i < count; i++) {
        cfa__sql_append(text, i > 0 ? " AND " : "");
        cfa__sql_append(text, index_column(kind, index, i));
        cfa__sql_append(text, " = ");
        append_parameter(text, parameter++);
    }
    return parameter;
}

/* " WHERE <primary key> AND <version>" with parameters from `parameter` on. */
static void append_identity(cfa__sql_text *text, const cfa_kind *kind, int32_t parameter) {
    cfa__sql_append(text, " WHERE ");
    parameter =
        append_matches(text, kind, &kind->indexes[0], kind->indexes[0].field_count, parameter);
    if (kind->version_field >= 0) {
        cfa__sql_append(text, " AND ");
        cfa__sql_append(text, kind->fields[kind->version_field].name);
        cfa__sql_append(text, " = ");
        append_parameter(text, parameter);
    }
}

/* ---- statements ------------------------------------------------------------------------------ */

void cfa__sql_write_insert(cfa__sql_text *text, const cfa_kind *kind) {
    cfa__sql_append(text, "INSERT INTO ");
    append_table(text, kind);
    cfa__sql_append(text, " (");
    append_all_columns(text, kind);
    cfa__sql_append(text, ") VALUES (");
    for (int32_t i = 0; i < kind->field_count; i++) {
        cfa__sql_append(text, i > 0 ? ", " : "");
        append_parameter(text, i + 1);
    }
    cfa__sql_append(text, ")");
}

void cfa__sql_write_insert_rows(cfa__sql_text *text, const cfa_kind *kind) {
    cfa__sql_append(text, "INSERT INTO ");
    append_table(text, kind);
    cfa__sql_append(text, " (");
    append_all_columns(text, kind);
    cfa__sql_append(text, ") SELECT ");
    for (int32_t i = 0; i < kind->field_count; i++) {
        cfa__sql_append(text, i > 0 ? ", c" : "c");
        cfa__sql_append_int(text, i);
    }
    cfa__sql_append(text, " FROM " CFA__SQL_ROWS);
}

void cfa__sql_write_update(cfa__sql_text *text, const cfa_kind *kind, uint64_t mask) {
    int32_t parameter = 1;
    cfa__sql_append(text, "UPDATE ");
    append_table(text, kind);
    cfa__sql_append(text, " SET ");
    for (int32_t i = 0; i < kind->field_count; i++) {
        if ((mask >> i & 1) == 0) {
            continue;
        }
        cfa__sql_append(text, parameter > 1 ? ", " : "");
        cfa__sql_append(text, kind->fields[i].name);
        cfa__sql_append(text, " = ");
        append_parameter(text, parameter++);
    }
    append_identity(text, kind, parameter);
}

void cfa__sql_write_delete(cfa__sql_text *text, const cfa_kind *kind) {
    cfa__sql_append(text, "DELETE FROM ");
    append_table(text, kind);
    append_identity(text, kind, 1);
}

void cfa__sql_write_guard(cfa__sql_text *text, const cfa_kind *kind) {
    cfa__sql_append(text, "SELECT 1 FROM ");
    append_table(text, kind);
    append_identity(text, kind, 1);
}

void cfa__sql_write_position(cfa__sql_text *text, const cfa_kind *kind) {
    cfa__sql_append(text, "SELECT coalesce(max(");
    cfa__sql_append(text, kind->fields[kind->position_field].name);
    cfa__sql_append(text, "), 0) FROM ");
    append_table(text, kind);
}

bool cfa__sql_is_single(const cfa_kind *kind, int32_t index, int32_t match_count, uint32_t flags) {
    const cfa_index *chosen = &kind->indexes[index];
    return flags == 0 && (chosen->flags & CFA_INDEX_UNIQUE) != 0 &&
           match_count == chosen->field_count;
}

/* What makes a row belong to a sparse index, spelled the same in the index and in its queries,
 * because a partial index is used only by a query that visibly implies its condition. */
static void append_sparse_condition(cfa__sql_text *text, const cfa_kind *kind,
                                    const cfa_index *index) {
    const cfa_field *field = &kind->fields[index->fields[0]];
    cfa__sql_append(text, field->name);
    cfa__sql_append(text, field->type == CFA_FIELD_INT ? " <> 0" : " IS NOT NULL");
}

static void append_index_name(cfa__sql_text *text, const cfa_kind *kind, const cfa_index *index) {
    append_table(text, kind);
    cfa__sql_append(text, "_");
    cfa__sql_append(text, index->name);
}

/* "(b, c) > ($2, $3)": beyond the key on what is not matched. */
static int32_t append_after(cfa__sql_text *text, const cfa_kind *kind, const cfa_index *index,
                            int32_t match_count, bool descending, int32_t parameter) {
    cfa__sql_append(text, "(");
    append_index_columns(text, kind, index, match_count, "");
    cfa__sql_append(text, descending ? ") < (" : ") > (");
    for (int32_t i = match_count; i < index->field_count; i++) {
        cfa__sql_append(text, i > match_count ? ", " : "");
        append_parameter(text, parameter++);
    }
    cfa__sql_append(text, ")");
    return parameter;
}

void cfa__sql_write_select(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                           const cfa_kind *kind, int32_t index_number, int32_t match_count,
                           uint32_t flags, bool single) {
    const cfa_index *index = &kind->indexes[index_number];
    bool descending = (flags & CFA_QUERY_DESCENDING) != 0;
    const char *glue = " WHERE ";
    int32_t parameter = 1;

    cfa__sql_append(text, "SELECT ");
    append_all_columns(text, kind);
    cfa__sql_append(text, " FROM ");
    append_table(text, kind);
    if (dialect->index_hints && index_number > 0) {
        cfa__sql_append(text, " INDEXED BY ");
        append_index_name(text, kind, index);
    }
    if (match_count > 0) {
        cfa__sql_append(text, glue);
        parameter = append_matches(text, kind, index, match_count, parameter);
        glue = " AND ";
    }
    if ((index->flags & CFA_INDEX_SPARSE) != 0) {
        cfa__sql_append(text, glue);
        append_sparse_condition(text, kind, index);
        glue = " AND ";
    }
    if ((flags & CFA_QUERY_AFTER) != 0) {
        cfa__sql_append(text, glue);
        parameter = append_after(text, kind, index, match_count, descending, parameter);
        glue = " AND ";
    }
    if ((flags & CFA_QUERY_UNTIL) != 0) {
        cfa__sql_append(text, glue);
        cfa__sql_append(text, index_column(kind, index, match_count));
        cfa__sql_append(text, " <= ");
        append_parameter(text, parameter++);
    }
    if (!single) {
        cfa__sql_append(text, " ORDER BY ");
        append_index_columns(text, kind, index, 0, descending ? " DESC" : "");
        cfa__sql_append(text, " LIMIT ");
        append_parameter(text, parameter);
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void append_column(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                          const cfa_field *field) {
    cfa__sql_append(text, field->name);
    cfa__sql_append(text, " ");
    cfa__sql_append(text, dialect->types[field->type]);
    cfa__sql_append(text, (field->flags & CFA_FIELD_NULLABLE) != 0 ? "" : " NOT NULL");
}

/* The documentation goes into the database with the table, where an operator meets it. */
static void append_doc(cfa__sql_text *text, const char *doc) {
    assert(strchr(doc, '\n') == NULL);
    if (doc[0] != '\0') {
        cfa__sql_append(text, " -- ");
        cfa__sql_append(text, doc);
    }
    cfa__sql_append(text, "\n");
}

static void append_create_table(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                                const cfa_kind *kind, int32_t version) {
    const cfa_index *primary = &kind->indexes[0];
    bool integer_key =
        primary->field_count == 1 && kind->fields[primary->fields[0]].type == CFA_FIELD_INT;
    cfa__sql_append(text, "CREATE TABLE ");
    append_table(text, kind);
    cfa__sql_append(text, " (");
    append_doc(text, kind->doc);
    for (int32_t i = 0; i < kind->field_count; i++) {
        if (kind->fields[i].since > version) {
            continue;
        }
        cfa__sql_append(text, "    ");
        append_column(text, dialect, &kind->fields[i]);
        cfa__sql_append(text, ",");
        append_doc(text, kind->fields[i].doc);
    }
    cfa__sql_append(text, "    PRIMARY KEY (");
    append_index_columns(text, kind, primary, 0, "");
    cfa__sql_append(text, ")\n)");
    cfa__sql_append(text, integer_key ? dialect->integer_key_suffix : dialect->other_key_suffix);
    cfa__sql_append(text, ";\n");
}

static void append_add_columns(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                               const cfa_kind *kind, int32_t version) {
    for (int32_t i = 0; i < kind->field_count; i++) {
        const cfa_field *field = &kind->fields[i];
        if (field->since != version) {
            continue;
        }
        cfa__sql_append(text, "ALTER TABLE ");
        append_table(text, kind);
        cfa__sql_append(text, " ADD COLUMN ");
        append_column(text, dialect, field);
        if ((field->flags & CFA_FIELD_NULLABLE) == 0) {
            cfa__sql_append(text, " DEFAULT ");
            cfa__sql_append(text, dialect->defaults[field->type]);
        }
        cfa__sql_append(text, ";\n");
    }
}

static void append_create_index(cfa__sql_text *text, const cfa_kind *kind, const cfa_index *index) {
    cfa__sql_append(text, "CREATE ");
    cfa__sql_append(text, (index->flags & CFA_INDEX_UNIQUE) != 0 ? "UNIQUE INDEX " : "INDEX ");
    append_index_name(text, kind, index);
    cfa__sql_append(text, " ON ");
    append_table(text, kind);
    cfa__sql_append(text, " (");
    append_index_columns(text, kind, index, 0, "");
    cfa__sql_append(text, ")");
    if ((index->flags & CFA_INDEX_SPARSE) != 0) {
        cfa__sql_append(text, " WHERE ");
        append_sparse_condition(text, kind, index);
    }
    cfa__sql_append(text, ";\n");
}

void cfa__sql_write_migration(cfa__sql_text *text, const cfa__sql_dialect *dialect,
                              const cfa_schema *schema, int32_t version) {
    for (int32_t i = 0; i < schema->kind_count; i++) {
        const cfa_kind *kind = schema->kinds[i];
        if (kind->since == version) {
            append_create_table(text, dialect, kind, version);
        } else if (kind->since < version) {
            append_add_columns(text, dialect, kind, version);
        }
        for (int32_t j = 1; j < kind->index_count; j++) {
            if (kind->indexes[j].since == version) {
                append_create_index(text, kind, &kind->indexes[j]);
            }
        }
    }
}
