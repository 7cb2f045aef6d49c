/*
 * sql_row.c - between record structs and parameters or columns. Knows field types, no SQL. Copies
 * nothing on the way in; on the way out everything lands in the caller's arena.
 */
#include "adapters/sql/sql_internal.h"

#include <string.h>

bool cfa__sql_field_differs(const cfa_field *field, const void *a, const void *b) {
    if (field->type == CFA_FIELD_INT) {
        return memcmp((const char *)a + field->offset, (const char *)b + field->offset,
                      sizeof(int64_t)) != 0;
    }
    cfa__sql_value left = cfa__sql_value_of(field, a);
    cfa__sql_value right = cfa__sql_value_of(field, b);
    if (left.type != right.type || left.size != right.size) {
        return true;
    }
    return left.type != 0 && left.data != right.data &&
           memcmp(left.data, right.data, left.size) != 0;
}

static cfa_status corrupt(const cfa__sql_driver *driver, const cfa_kind *kind,
                          const cfa_field *field) {
    return cfa_error_format(CFA_ECORRUPT, driver->origin, field->name, 0,
                            "cfa_%s.%s holds a value of the wrong size", kind->name, field->name);
}

void *cfa__sql_record_of(const cfa__sql_driver *driver, const cfa_kind *kind,
                         const cfa__sql_row *row, cfa_arena *arena, cfa_status *status) {
    char *record = cfa_arena_alloc(arena, kind->record_size);
    if (record == NULL) {
        *status = CFA_ENOMEM;
        return NULL;
    }
    for (int32_t i = 0; i < kind->field_count; i++) {
        const cfa_field *field = &kind->fields[i];
        char *memory = record + field->offset;
        if (field->type == CFA_FIELD_INT) {
            int64_t integer = driver->column_int(row, i);
            memcpy(memory, &integer, sizeof(integer));
            continue;
        }
        cfa_slice bytes = driver->column_bytes(row, i);
        if (bytes.data == NULL) {
            continue; /* the record is zeroed, and zero is null for every type */
        }
        if (field->type == CFA_FIELD_ID || field->type == CFA_FIELD_CURRENCY) {
            if (field->type == CFA_FIELD_ID ? bytes.size != 16 : bytes.size > 3) {
                *status = corrupt(driver, kind, field);
                return NULL;
            }
            memcpy(memory, bytes.data, bytes.size);
            continue;
        }
        cfa_slice copy = { cfa_arena_copy(arena, bytes.data, bytes.size), bytes.size };
        if (copy.data == NULL) {
            *status = CFA_ENOMEM;
            return NULL;
        }
        memcpy(memory, &copy, sizeof(copy));
    }
    return record;
}
