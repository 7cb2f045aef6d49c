/*
 * record.h - a provider's record that the host makes, object by object, so that no callback crosses
 * a language: the host appends, then C reads, as often as it likes.
 *
 * Objects wait in a temporary file without a name: the memory is that of one object, whatever their
 * number. Nothing is judged here, only copied. Used by one thread at a time.
 */
#ifndef CAREFORALL_SHIM_RECORD_H
#define CAREFORALL_SHIM_RECORD_H

typedef struct shim_record shim_record;

#ifndef SWIG

#include <errno.h>
#include <stdio.h>

#define SHIM_TEXT_MAX 65536 /* bytes of one text of an object */

struct shim_record {
    shim_source source;
    FILE *file;
    cfa_arena *arena; /* of the object at hand */
    int64_t count, read;
    int64_t size;      /* where the next object goes */
    int32_t appending; /* the file stands there */
};

static inline cfa_status shim_record_failed(void)
{
    return cfa_error_set(CFA_EIO, "bindings", NULL, errno, "the record's temporary file");
}

static inline cfa_status shim_record_put(shim_record *record, const void *data, size_t size)
{
    return fwrite(data, 1, size, record->file) == size ? CFA_OK : shim_record_failed();
}

static inline cfa_status shim_record_put_text(shim_record *record, const char *text)
{
    const int32_t size = text != NULL ? (int32_t)strlen(text) + 1 : 0;
    cfa_status status = shim_record_put(record, &size, sizeof size);
    if (status == CFA_OK && size > 0)
        status = shim_record_put(record, text, (size_t)size);
    return status;
}

static inline cfa_status shim_record_get(shim_record *record, void *out, size_t size)
{
    return fread(out, 1, size, record->file) == size ? CFA_OK : shim_record_failed();
}

static inline cfa_status shim_record_get_text(shim_record *record, const char **out)
{
    int32_t size = 0;
    *out = NULL;
    cfa_status status = shim_record_get(record, &size, sizeof size);
    if (status != CFA_OK || size <= 0)
        return status;
    char *text = (char *)cfa_arena_alloc(record->arena, (size_t)size);
    if (text == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for an object");
    status = shim_record_get(record, text, (size_t)size);
    *out = text;
    return status;
}

/* The texts of each struct, in the order in which they stand in the file. */
#define SHIM_FACTS_TEXTS(facts)                                                                    \
    {                                                                                              \
        &(facts)->ref, &(facts)->payment_id, &(facts)->failure_code, &(facts)->cancel_reason,      \
            &(facts)->origin_ref                                                                   \
    }
#define SHIM_REFUND_TEXTS(refund) { &(refund)->ref, &(refund)->refund_id, &(refund)->failure_code }
#define SHIM_DISPUTE_TEXTS(dispute) { &(dispute)->ref, &(dispute)->reason }
#define SHIM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline cfa_status shim_record_put_texts(shim_record *record, const char *const *const *texts,
                                               size_t count)
{
    cfa_status status = CFA_OK;
    for (size_t i = 0; status == CFA_OK && i < count; i++)
        status = shim_record_put_text(record, *texts[i]);
    return status;
}

static inline cfa_status shim_record_get_texts(shim_record *record, const char **const *texts,
                                               size_t count)
{
    cfa_status status = CFA_OK;
    for (size_t i = 0; status == CFA_OK && i < count; i++)
        status = shim_record_get_text(record, texts[i]);
    return status;
}

static inline cfa_status shim_record_fits(const char *const *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (*texts[i] != NULL && strlen(*texts[i]) >= SHIM_TEXT_MAX)
            return cfa_error_set(CFA_ETOOLONG, "bindings", "facts", 0, "a text of 64 KiB or more");
    return CFA_OK;
}

static inline cfa_status shim_record_put_refund(shim_record *record, const cfa_refund_facts *refund)
{
    const char *const *const texts[] = SHIM_REFUND_TEXTS(refund);
    cfa_status status = shim_record_fits(texts, SHIM_COUNT(texts));
    if (status == CFA_OK)
        status = shim_record_put(record, refund, sizeof *refund);
    return status == CFA_OK ? shim_record_put_texts(record, texts, SHIM_COUNT(texts)) : status;
}

static inline cfa_status shim_record_put_dispute(shim_record *record,
                                                 const cfa_dispute_facts *dispute)
{
    const char *const *const texts[] = SHIM_DISPUTE_TEXTS(dispute);
    cfa_status status = shim_record_fits(texts, SHIM_COUNT(texts));
    if (status == CFA_OK)
        status = shim_record_put(record, dispute, sizeof *dispute);
    return status == CFA_OK ? shim_record_put_texts(record, texts, SHIM_COUNT(texts)) : status;
}

static inline cfa_status shim_record_put_object(shim_record *record,
                                                const cfa_reconcile_object *object)
{
    const cfa_facts *facts = &object->facts;
    const char *const *const texts[] = SHIM_FACTS_TEXTS(facts);
    cfa_status status = shim_record_fits(texts, SHIM_COUNT(texts));
    if (status == CFA_OK)
        status = shim_record_put(record, object, sizeof *object);
    if (status == CFA_OK)
        status = shim_record_put_texts(record, texts, SHIM_COUNT(texts));
    for (int32_t i = 0; status == CFA_OK && i < facts->refund_count; i++)
        status = shim_record_put_refund(record, facts->refunds[i]);
    for (int32_t i = 0; status == CFA_OK && i < facts->dispute_count; i++)
        status = shim_record_put_dispute(record, facts->disputes[i]);
    return status;
}

static inline cfa_status shim_record_get_refund(shim_record *record, const cfa_refund_facts **out)
{
    cfa_refund_facts *refund = (cfa_refund_facts *)cfa_arena_alloc(record->arena, sizeof *refund);
    if (refund == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for an object");
    cfa_status status = shim_record_get(record, refund, sizeof *refund);
    const char **const texts[] = SHIM_REFUND_TEXTS(refund);
    if (status == CFA_OK)
        status = shim_record_get_texts(record, texts, SHIM_COUNT(texts));
    *out = refund;
    return status;
}

static inline cfa_status shim_record_get_dispute(shim_record *record, const cfa_dispute_facts **out)
{
    cfa_dispute_facts *dispute =
        (cfa_dispute_facts *)cfa_arena_alloc(record->arena, sizeof *dispute);
    if (dispute == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for an object");
    cfa_status status = shim_record_get(record, dispute, sizeof *dispute);
    const char **const texts[] = SHIM_DISPUTE_TEXTS(dispute);
    if (status == CFA_OK)
        status = shim_record_get_texts(record, texts, SHIM_COUNT(texts));
    *out = dispute;
    return status;
}

static inline cfa_status shim_record_get_reversals(shim_record *record, cfa_facts *facts)
{
    const cfa_refund_facts **refunds = (const cfa_refund_facts **)cfa_arena_alloc(
        record->arena, SHIM_REVERSALS_MAX * sizeof *refunds);
    const cfa_dispute_facts **disputes = (const cfa_dispute_facts **)cfa_arena_alloc(
        record->arena, SHIM_REVERSALS_MAX * sizeof *disputes);
    if (refunds == NULL || disputes == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for an object");
    cfa_status status = CFA_OK;
    for (int32_t i = 0; status == CFA_OK && i < facts->refund_count; i++)
        status = shim_record_get_refund(record, &refunds[i]);
    for (int32_t i = 0; status == CFA_OK && i < facts->dispute_count; i++)
        status = shim_record_get_dispute(record, &disputes[i]);
    facts->refunds = refunds;
    facts->disputes = disputes;
    return status;
}

static inline cfa_status shim_record_rewind(shim_record *record)
{
    record->read = 0;
    record->appending = 0;
    return fseeko(record->file, 0, SEEK_SET) == 0 ? CFA_OK : shim_record_failed();
}

static inline cfa_status shim_record_next(void *self, cfa_reconcile_object *out)
{
    shim_record *record = (shim_record *)self;
    cfa_arena_reset(record->arena);
    if (record->read == record->count) {
        const cfa_status status = shim_record_rewind(record);
        return status == CFA_OK ? CFA_ENOTFOUND : status;
    }
    cfa_reconcile_object object;
    cfa_status status = shim_record_get(record, &object, sizeof object);
    const char **const texts[] = SHIM_FACTS_TEXTS(&object.facts);
    if (status == CFA_OK)
        status = shim_record_get_texts(record, texts, SHIM_COUNT(texts));
    if (status == CFA_OK)
        status = shim_record_get_reversals(record, &object.facts);
    if (status != CFA_OK)
        return status;
    record->read++;
    *out = object;
    return CFA_OK;
}

#endif

static inline void shim_record_free(shim_record *record)
{
    if (record == NULL)
        return;
    if (record->file != NULL)
        (void)fclose(record->file);
    cfa_arena_free(record->arena);
    cfa_free(record);
}

static inline cfa_status shim_record_new(shim_record **out)
{
    shim_record *made = (shim_record *)cfa_alloc(sizeof *made);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for a record");
    memset(made, 0, sizeof *made);
    made->source.next = shim_record_next;
    made->source.self = made;
    cfa_status status = cfa_arena_new(&made->arena);
    if (status == CFA_OK) {
        made->file = tmpfile();
        if (made->file == NULL)
            status = shim_record_failed();
    }
    if (status != CFA_OK)
        shim_record_free(made);
    else
        *out = made;
    return status;
}

/* Append; never while the record is read. A failure leaves the record as it was. */
static inline cfa_status shim_record_add(shim_record *record, const shim_facts *facts, int32_t kind,
                                         int32_t livemode, int32_t whole, int32_t summary,
                                         int64_t refunded_minor, int64_t line, int64_t as_of_us)
{
    if (record->count == CFA_RECONCILE_OBJECTS_MAX)
        return cfa_error_set(CFA_ERANGE, "bindings", "source", 0,
                             "more objects than a record may have");
    cfa_reconcile_object object;
    memset(&object, 0, sizeof object);
    object.struct_size = sizeof object;
    object.kind = kind;
    object.livemode = livemode;
    object.whole = whole;
    object.summary = summary;
    object.refunded_minor = refunded_minor;
    object.line = line;
    object.as_of_us = as_of_us;
    object.facts = facts->facts;
    if (!record->appending && fseeko(record->file, (off_t)record->size, SEEK_SET) != 0)
        return shim_record_failed();
    const cfa_status status = shim_record_put_object(record, &object);
    const off_t size = status == CFA_OK ? ftello(record->file) : -1;
    record->appending = size >= 0;
    if (size < 0)
        return status != CFA_OK ? status : shim_record_failed();
    record->size = size;
    record->count++;
    return CFA_OK;
}

/* What reads it from its beginning; it lives as long as the record. */
static inline cfa_status shim_record_source(shim_source **out, shim_record *record)
{
    const cfa_status status = shim_record_rewind(record);
    if (status == CFA_OK)
        *out = &record->source;
    return status;
}

#endif
