/*
 * sql_row.c - between record structs and parameters or columns. Knows field types, no SQL. Copies
 * nothing on the way in; on the way out everything lands in the caller's arena.
 */
#include "adapters/sql/sql_internal.h"

#include <string.h>

static const uint8_t zero_id[16];

static const void *field_at(const cfa_field *field, const void *record) {
    return (const char *)record + field->offset;
}

cfa__sql_value cfa__sql_value_of(const cfa_field *field, const void *record) {
    const void *memory = field_at(field, record);
    bool nullable = (field->flags & CFA_FIELD_NULLABLE) != 0;
    cfa__sql_value value = { field->type, 0, NULL, 0 };
    switch (field->type) {
    case CFA_FIELD_INT: memcpy(&value.integer, memory, sizeof(value.integer)); break;
    case CFA_FIELD_ID:
        value.data = memory;
        value.size = 16;
        if (nullable && memcmp(memory, zero_id, 16) == 0) {
            value.type = 0;
        }
        break;
    case CFA_FIELD_CURRENCY:
        value.data = memory;
        value.size = strnlen(memory, 4);
        if (nullable && value.size == 0) {
            value.type = 0;
        }
        break;
    default: {
        cfa_slice slice;
        memcpy(&slice, memory, sizeof(slice));
        value.data = slice.data != NULL ? slice.data : "";
        value.size = slice.data != NULL ? slice.size : 0;
        if (nullable && slice.data == NULL) {
            value.type = 0;
        }
        break;
    }
    }
    return value;
}

bool cfa__sql_field_differs(const cfa_field *field, const void *a, const void *b) {
    if (field->type == CFA_FIELD_INT) {
        return memcmp(field_at(field, a), field_at(field, b), sizeof(int64_t)) != 0;
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
