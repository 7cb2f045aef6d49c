/*
 * export.h - the reader of Stripe's exported files: what its parts share. A file is read as a stream
 * and never held; each error names its line.
 *
 * export.c opens, checks and rewinds; export_json.c and export_csv.c each bring the next object;
 * export_balance.c says what a movement of the balance tells of a payment.
 */
#ifndef CFA_ADAPTERS_STRIPE_EXPORT_H
#define CFA_ADAPTERS_STRIPE_EXPORT_H

#include "adapters/stripe/stripe.h"

#include <stdio.h>

#define CFA__EXPORT_OBJECT_BYTES_MAX 1048576 /* of one object, row, or a list's frame */
#define CFA__EXPORT_COLUMNS_MAX 512
#define CFA__EXPORT_END (-1) /* of the file, instead of a byte */

/* What a CSV is, by its header. */
enum {
    CFA__SHAPE_PAYMENTS, /* the Dashboard's payments: a row is a charge */
    CFA__SHAPE_HISTORY,  /* the Dashboard's balance history: a row is a movement */
    CFA__SHAPE_ITEMIZED, /* the itemized reports of balance and payouts: the same */
    CFA__SHAPES
};

/* Columns that are read, by place; negative: the file has none. */
enum {
    CFA__COLUMN_ID,
    CFA__COLUMN_CREATED,
    CFA__COLUMN_AMOUNT,
    CFA__COLUMN_REFUNDED,
    CFA__COLUMN_CURRENCY,
    CFA__COLUMN_CAPTURED,
    CFA__COLUMN_STATUS,
    CFA__COLUMN_INTENT,
    CFA__COLUMN_MODE,
    CFA__COLUMN_PAYMENT_ID,
    CFA__COLUMN_CATEGORY, /* this and below: of movements */
    CFA__COLUMN_SOURCE,
    CFA__COLUMN_FEE,
    CFA__COLUMN_NET,
    CFA__COLUMN_PLATFORM_FEE,
    CFA__COLUMN_FACING,
    CFA__COLUMN_FACING_CURRENCY,
    CFA__COLUMN_CHARGE,
    CFA__COLUMN_REFUND,
    CFA__COLUMN_DISPUTE,
    CFA__COLUMN_REFUND_ID,
    CFA__COLUMN_PAYOUT,
    CFA__COLUMN_PAYOUT_TIME,
    CFA__COLUMNS
};

/* One object of the first reading: enough to see an id again. */
typedef struct cfa__export_mark {
    uint64_t id, content;
} cfa__export_mark;

struct cfa_stripe_export {
    FILE *file;
    int64_t bytes, changed_ns; /* as of open: a file that changes is refused */
    int64_t opened_us;         /* payouts that were due a day before it arrived */
    bool csv, begun;
    cfa_arena *arena; /* of the object at hand */
    uint8_t hash_key[16];

    /* The stream. */
    char input[65536];
    size_t input_at, input_size;
    int64_t line;
    bool broken; /* reading failed */

    /* The object, row or frame at hand. */
    char *text;
    size_t size;
    int64_t text_line;

    /* JSON: inside of a list's data; the frame is what stands around it. */
    bool in_list, list_goes_on;
    char *frame;
    size_t frame_size;

    /* CSV. */
    size_t fields[CFA__EXPORT_COLUMNS_MAX]; /* where each begins in `text` */
    int32_t field_count, column_count;
    int32_t shape;
    int32_t columns[CFA__COLUMNS];
    int32_t line_ends; /* 0: none seen, 1: LF, 2: CR LF */

    /* Of the object at hand, and of all in the first reading. */
    bool marking; /* in the first reading */
    cfa__export_mark mark;
    cfa__export_mark *marks; /* NULL after the first reading */
    size_t mark_count, mark_capacity;
    int64_t objects;
};

/* Read on. False at the end, and when reading failed. */
bool cfa__export_fill(cfa_stripe_export *file);

/* Look at the next byte and leave it; CFA__EXPORT_END at the end, and when reading failed. */
static inline int cfa__export_peek(cfa_stripe_export *file) {
    if (file->input_at == file->input_size && !cfa__export_fill(file))
        return CFA__EXPORT_END;
    return (unsigned char)file->input[file->input_at];
}

/* The next byte, counting lines. */
static inline int cfa__export_byte(cfa_stripe_export *file) {
    int byte = cfa__export_peek(file);
    file->input_at += byte != CFA__EXPORT_END;
    file->line += byte == '\n';
    return byte;
}

/* Append to the text at hand. CFA_ETOOLONG naming the line. */
CFA_MUST_CHECK cfa_status cfa__export_keep(cfa_stripe_export *file, int byte);
/* The same with all bytes before the next one that is not 0 in `stops`, as NUL and LF must be. */
CFA_MUST_CHECK cfa_status cfa__export_keep_until(cfa_stripe_export *file, const bool stops[256]);
/* An error about a line; `field` may be NULL. Returns `status`. */
cfa_status cfa__export_refuse(cfa_stripe_export *file, cfa_status status, int64_t line,
                              const char *field, const char *why);
/* The thread's last error, with the line before it. */
cfa_status cfa__export_refuse_again(cfa_stripe_export *file, int64_t line);
/* 0 when nothing is marked any more. */
uint64_t cfa__export_hash(const cfa_stripe_export *file, const char *data, size_t size);

/* The next object; CFA_ENOTFOUND at the end. `file->mark` is set. */
CFA_MUST_CHECK cfa_status cfa__export_json_next(cfa_stripe_export *file, cfa_reconcile_object *out);
CFA_MUST_CHECK cfa_status cfa__export_csv_begin(cfa_stripe_export *file);
CFA_MUST_CHECK cfa_status cfa__export_csv_next(cfa_stripe_export *file, cfa_reconcile_object *out);

/* ---- export_balance.c: movements of the balance ---------------------------------------------- */

/* One of them. Its amounts are in the currency that the account settles in, and have a sign. Texts
 * are NULL or "" when there are none. */
typedef struct cfa__export_movement {
    const char *category; /* the reporting category, or the older type */
    const char *source, *charge, *refund, *dispute;
    const char *intent, *payment_id, *refund_id;
    cfa_money amount, fee;
    cfa_money facing; /* what the donor's side of it was, without a sign; minor 0: not told */
    bool settled;     /* a payout that arrived held it */
} cfa__export_movement;

/* What it says of a payment, a refund or a dispute, as a summary; or that it says nothing. */
CFA_MUST_CHECK cfa_status cfa__export_movement_take(cfa_stripe_export *file,
                                                    const cfa__export_movement *movement,
                                                    cfa_reconcile_object *out);
/* A balance transaction. `*out_source`: the object that is expanded in it and says all that it does
 * and more, or NULL: then `out` is filled. */
CFA_MUST_CHECK cfa_status cfa__export_movement_read(cfa_stripe_export *file, const cfa__json *root,
                                                    cfa_reconcile_object *out,
                                                    const cfa__json **out_source);

#endif
