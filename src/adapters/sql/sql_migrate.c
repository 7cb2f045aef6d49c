/*
 * sql_migrate.c - bringing a database to a schema: numbered, forward only, each migration in one
 * transaction and recorded in cfa_schema. What is not ours or newer than us is refused before
 * anything is written.
 *
 * Ours is a database whose cfa_schema table says so. Other tables beside it are the host's own: it
 * may keep its rows in the same database to write them in one transaction with a pledge. Tables
 * named cfa_* without that record are somebody else's.
 */
#include "adapters/sql/sql_internal.h"

#include <assert.h>
#include <string.h>

#define KIND_ID_MAX 1023
#define MIGRATE_TIMEOUT_MS 30000

static const char library_name[] = "careforall";

static const char schema_table[] = "CREATE TABLE cfa_schema ( -- migrations that were applied\n"
                                   "    version INTEGER NOT NULL,\n"
                                   "    applied_us INTEGER NOT NULL,\n"
                                   "    library TEXT NOT NULL, -- that applied it\n"
                                   "    PRIMARY KEY (version)\n"
                                   ")";

void cfa__sql_storage_init(cfa__sql_storage *storage, const cfa__sql_driver *driver) {
    memset(storage, 0, sizeof(*storage));
    storage->driver = driver;
}

void cfa__sql_storage_release(cfa__sql_storage *storage) {
    cfa_free(storage->slots);
    storage->slots = NULL;
}

/* ---- what is there --------------------------------------------------------------------------- */

typedef struct own_tables {
    const cfa__sql_driver *driver;
    int64_t count;
    bool has_schema;
} own_tables;

static cfa_status own_tables_row(void *opaque, const cfa__sql_row *row) {
    own_tables *context = opaque;
    context->count = context->driver->column_int(row, 0);
    context->has_schema = context->driver->column_int(row, 1) != 0;
    return CFA_OK;
}

static const char newest_migration[] =
    "SELECT version, library FROM cfa_schema ORDER BY version DESC LIMIT 1";

typedef struct newest {
    const cfa__sql_driver *driver;
    int64_t version;
    bool ours;
} newest;

static cfa_status newest_row(void *opaque, const cfa__sql_row *row) {
    newest *context = opaque;
    cfa_slice library = context->driver->column_bytes(row, 1);
    context->version = context->driver->column_int(row, 0);
    context->ours = library.data != NULL && library.size > sizeof(library_name) - 1 &&
                    memcmp(library.data, library_name, sizeof(library_name) - 1) == 0;
    return CFA_OK;
}

static cfa_status select_once(const cfa__sql_driver *driver, cfa__sql_connection *connection,
                              const char *sql, cfa__sql_row_function on_row, void *context) {
    cfa__sql_statement *statement;
    cfa_status status = driver->prepare(connection, sql, 0, &statement);
    if (status != CFA_OK) {
        return status;
    }
    status = driver->select(connection, statement, NULL, 0, on_row, context);
    if (status == CFA_OK) {
        status = driver->flush(connection);
    }
    driver->finalize(connection, statement);
    return status;
}

/* Write the store's schema version, 0 when it has none of our tables. Inside a transaction. */
static cfa_status read_version(const cfa__sql_driver *driver, cfa__sql_connection *connection,
                               int32_t known, int64_t *out) {
    own_tables tables = { driver, 0, false };
    cfa_status status =
        select_once(driver, connection, driver->dialect.own_tables, own_tables_row, &tables);
    if (status != CFA_OK) {
        return status;
    }
    if (tables.count == 0) {
        *out = 0;
        return CFA_OK;
    }
    newest row = { driver, 0, false };
    if (tables.has_schema) {
        status = select_once(driver, connection, newest_migration, newest_row, &row);
        /* No such column is CFA_EBUG from the driver, and here means: another program's table. */
        if (status != CFA_OK && status != CFA_EBUG) {
            return status;
        }
    }
    if (!row.ours) {
        return cfa_error_set(CFA_ESCHEMA, driver->origin, NULL, 0,
                             "the database has cfa_ tables that this library did not make: "
                             "use another one");
    }
    if (row.version > known) {
        return cfa_error_format(CFA_ESCHEMA, driver->origin, NULL, (int32_t)row.version,
                                "the database has schema version %lld, this library knows up to "
                                "%d: upgrade the library",
                                (long long)row.version, (int)known);
    }
    *out = row.version;
    return CFA_OK;
}

/* ---- migrations ------------------------------------------------------------------------------ */

static cfa_status write_record(const cfa__sql_driver *driver, cfa__sql_text *text,
                               int32_t version) {
    cfa__sql_append(text, "INSERT INTO cfa_schema (version, applied_us, library) VALUES (");
    cfa__sql_append_int(text, version);
    cfa__sql_append(text, ", ");
    cfa__sql_append(text, driver->dialect.now_us);
    cfa__sql_append(text, ", 'careforall " CFA_VERSION "');\n");
    if (text->failed) {
        return cfa_error_set(CFA_ENOMEM, driver->origin, NULL, 0, "out of memory");
    }
    return CFA_OK;
}

static cfa_status apply(const cfa__sql_driver *driver, cfa__sql_connection *connection,
                        const cfa_schema *schema, int32_t version) {
    cfa__sql_text text = { NULL, 0, 0, false };
    cfa_status status = CFA_OK;
    if (version == 1) {
        status = driver->stamp(connection);
        cfa__sql_append(&text, schema_table);
        cfa__sql_append(&text, driver->dialect.integer_key_suffix);
        cfa__sql_append(&text, ";\n");
    }
    cfa__sql_write_migration(&text, &driver->dialect, schema, version);
    if (status == CFA_OK) {
        status = write_record(driver, &text, version);
    }
    if (status == CFA_OK) {
        status = driver->script(connection, text.data);
    }
    cfa__sql_text_free(&text);
    return status;
}

/* Apply the next migration if one is missing, in a transaction of its own. */
static cfa_status step(const cfa__sql_driver *driver, cfa__sql_connection *connection,
                       const cfa_schema *schema, int64_t *out_version) {
    int64_t now_us, version = 0;
    cfa_status status = driver->begin(connection, CFA_SESSION_WRITE, MIGRATE_TIMEOUT_MS, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = read_version(driver, connection, schema->version, &version);
    if (status == CFA_OK && version < schema->version) {
        status = apply(driver, connection, schema, (int32_t)version + 1);
        if (status == CFA_OK) {
            status = driver->commit(connection);
        } else {
            driver->rollback(connection);
        }
        version++;
    } else {
        driver->rollback(connection);
    }
    if (status == CFA_OK) {
        *out_version = version;
    }
    return status;
}

static cfa_status migrate(const cfa__sql_driver *driver, cfa__sql_connection *connection,
                          const cfa_schema *schema) {
    int64_t now_us, version = 0;
    cfa_status status = driver->begin(connection, CFA_SESSION_READ, MIGRATE_TIMEOUT_MS, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = read_version(driver, connection, schema->version, &version);
    driver->rollback(connection);
    if (status == CFA_OK) {
        status = driver->adopt(connection);
    }
    while (status == CFA_OK && version < schema->version) {
        status = step(driver, connection, schema, &version);
    }
    return status;
}

/* A store that is not to be written must have the schema already. */
static cfa_status check_schema(const cfa__sql_driver *driver, cfa__sql_connection *connection,
                               const cfa_schema *schema) {
    int64_t now_us, version = 0;
    cfa_status status = driver->begin(connection, CFA_SESSION_READ, MIGRATE_TIMEOUT_MS, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = read_version(driver, connection, schema->version, &version);
    driver->rollback(connection);
    if (status == CFA_OK && version < schema->version) {
        return cfa_error_format(CFA_ESCHEMA, driver->origin, NULL, (int32_t)version,
                                "the database has schema version %lld, not %d, and is opened to be "
                                "read only: let this version of the library open it once",
                                (long long)version, (int)schema->version);
    }
    return status;
}

/* ---- the schema itself ----------------------------------------------------------------------- */

static bool kind_is_usable(const cfa_kind *kind) {
    return kind->id >= 1 && kind->id <= KIND_ID_MAX && kind->field_count >= 1 &&
           kind->field_count <= CFA__SQL_FIELDS_MAX && kind->index_count >= 1 &&
           (kind->indexes[0].flags & (CFA_INDEX_UNIQUE | CFA_INDEX_SPARSE)) == CFA_INDEX_UNIQUE;
}

static cfa_status adopt_schema(cfa__sql_storage *storage, const cfa_schema *schema) {
    const char *origin = storage->driver->origin;
    int32_t count = 0;
    for (int32_t i = 0; i < schema->kind_count; i++) {
        if (!kind_is_usable(schema->kinds[i])) {
            return cfa_error_format(CFA_EMISUSE, origin, NULL, 0,
                                    "kind %s breaks the limits of kinds", schema->kinds[i]->name);
        }
        count = schema->kinds[i]->id >= count ? schema->kinds[i]->id + 1 : count;
    }
    int32_t *slots = cfa_alloc(((size_t)count + 1) * sizeof(*slots));
    if (slots == NULL) {
        return cfa_error_set(CFA_ENOMEM, origin, NULL, 0, "out of memory");
    }
    memset(slots, 0xff, ((size_t)count + 1) * sizeof(*slots));
    for (int32_t i = 0; i < schema->kind_count; i++) {
        slots[schema->kinds[i]->id] = i;
    }
    cfa_free(storage->slots);
    storage->slots = slots;
    storage->slot_count = count;
    storage->schema = schema;
    return CFA_OK;
}

cfa_status cfa__sql_migrate(void *self, const cfa_schema *schema) {
    cfa__sql_storage *storage = self;
    const cfa__sql_driver *driver = storage->driver;
    cfa__sql_connection *connection;
    if (storage->schema != NULL && storage->schema != schema) {
        return cfa_error_set(CFA_EMISUSE, driver->origin, NULL, 0,
                             "one storage serves one schema: make another storage");
    }
    cfa_status status =
        driver->connect(self, storage->read_only ? CFA_SESSION_READ : CFA_SESSION_WRITE,
                        !storage->read_only, &connection);
    if (status != CFA_OK) {
        return status;
    }
    status = storage->read_only ? check_schema(driver, connection, schema)
                                : migrate(driver, connection, schema);
    driver->disconnect(connection);
    return status == CFA_OK && storage->schema == NULL ? adopt_schema(storage, schema) : status;
}
