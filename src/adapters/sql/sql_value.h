/*
 * sql_value.h - what a field of a record is as a SQL value. In a header, because it is done for
 * every field of every row that is written.
 */
#ifndef CFA_ADAPTERS_SQL_VALUE_H
#define CFA_ADAPTERS_SQL_VALUE_H

#include "adapters/sql/sql_driver.h"

#include <string.h>

static inline cfa__sql_value cfa__sql_value_of(const cfa_field *field, const void *record) {
    const void *memory = (const char *)record + field->offset;
    bool nullable = (field->flags & CFA_FIELD_NULLABLE) != 0;
    cfa__sql_value value = { field->type, 0, NULL, 0 };
    switch (field->type) {
    case CFA_FIELD_INT: memcpy(&value.integer, memory, sizeof(value.integer)); break;
    case CFA_FIELD_ID:
        value.data = memory;
        value.size = 16;
        if (nullable && memcmp(memory, (const uint8_t[16]){ 0 }, 16) == 0) {
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

#endif
