/* problem.c - one way to say what went wrong. Never puts a value of the request into the text. */
#include "problem.h"
#include "log.h"
#include "route.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct problem_kind_text {
    int status;
    const char *code, *title;
} problem_kind_text;

static const problem_kind_text kinds[] = {
#define PROBLEM_TEXT(name, status, code, title) { status, code, title },
    PROBLEM_MAP(PROBLEM_TEXT)
#undef PROBLEM_TEXT
};

/* The engine's names of fields and what the caller knows them as. */
static const char *const field_names[][2] = {
    { "key", "Idempotency-Key" },
    { "signature", "Careforall-Signature" },
    { "expected_version", "If-Match" },
    { "donor_reference", "donor.reference" },
    { "donor_name", "donor.name" },
    { "donor_email", "donor.email" },
    { "donor_message", "donor.message" },
    { "visibility", "donor.visibility" },
    { "deadline_us", "deadline" },
    { "currency", "amount.currency" },
    { "minor", "amount.minor" },
    { "from_us", "from" },
    { "until_us", "until" },
};

static const char *public_field(const char *field) {
    for (size_t i = 0; i < sizeof field_names / sizeof field_names[0]; i++)
        if (strcmp(field, field_names[i][0]) == 0)
            return field_names[i][1];
    return field;
}

/* "CFA_EKEYREUSE" -> "cfa_ekeyreuse". */
void problem_code(char *out, size_t size, cfa_status status) {
    const char *name = cfa_status_name(status);
    size_t i = 0;
    for (; i + 1 < size && name[i] != '\0'; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

int problem_http_status(cfa_status status) {
    switch (status) {
    case CFA_EKEY:
    case CFA_EENCODING:
    case CFA_ESIGNATURE: return 400;
    case CFA_EDECLINED: return 402;
    case CFA_ENOTFOUND: return 404;
    case CFA_ECLOSED:
    case CFA_EEXISTS:
    case CFA_ESTATE:
    case CFA_EFENCED: return 409;
    case CFA_EVERSION: return 412;
    case CFA_EKEYREUSE: return 422;
    case CFA_ENOTSUP: return 503;
    default: break;
    }
    switch (cfa_status_class_of(status)) {
    case CFA_CLASS_INVALID: return 422;
    case CFA_CLASS_TRANSIENT:
    case CFA_CLASS_IN_DOUBT: return 503;
    default: return 500;
    }
}

static void answer(http_request *request, int status, const char *code, const char *title,
                   const char *field, const char *detail) {
    http_answer *out = &request->answer;
    snprintf(out->code, sizeof out->code, "%s", code);
    char type[64];
    snprintf(type, sizeof type, "urn:careforall:problem:%s", out->code);
    out->content_type = "application/problem+json";
    if (status == 503 && out->retry_after_s == 0)
        out->retry_after_s = 1;
    http_answer_json(request, status,
                     json_pack("{s:s, s:s, s:i, s:s*, s:s, s:s*, s:s}", "type", type, "title",
                               title, "status", status, "detail", *detail != '\0' ? detail : NULL,
                               "code", out->code, "field", field && *field != '\0' ? field : NULL,
                               "request_id", request->id));
}

void problem_http(http_request *request, problem_kind which, const char *field, const char *format,
                  ...) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    const problem_kind_text *kind = &kinds[which];
    answer(request, kind->status, kind->code, kind->title, field, detail);
}

static void answer_status(http_request *request, int http_status, cfa_status status,
                          const char *field, const char *detail) {
    char code[32];
    problem_code(code, sizeof code, status);
    answer(request, http_status != 0 ? http_status : problem_http_status(status), code,
           cfa_status_text(status), field, detail);
}

void problem_status(http_request *request, int http_status, cfa_status status, const char *field,
                    const char *format, ...) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    answer_status(request, http_status, status, field, detail);
}

void problem_error(http_request *request, const cfa_error *error) {
    /* What went wrong inside is for the operator's log; the caller learns the class and what to do.
     */
    cfa_status_class kind = cfa_status_class_of(error->status);
    const char *detail = error->message;
    if (kind == CFA_CLASS_IN_DOUBT)
        detail = "it may have happened: retry with the same key";
    else if (kind == CFA_CLASS_TRANSIENT)
        detail = "nothing was done: retry with the same key";
    else if (kind == CFA_CLASS_INTERNAL)
        detail = "an internal error; the request id finds it in the log";
    if (kind >= CFA_CLASS_TRANSIENT) {
        log_line("error", "engine_error",
                 json_pack("{s:s, s:s, s:s, s:i, s:s}", "request_id", request->id, "status",
                           cfa_status_name(error->status), "origin", error->origin, "native",
                           (int)error->native_code, "text", error->message));
    }
    if (error->retry_after_ms > 0) {
        int64_t wait_s = (error->retry_after_ms - 1) / 1000 + 1;
        request->answer.retry_after_s =
            wait_s < HTTP_RETRY_AFTER_MAX_S ? (int)wait_s : HTTP_RETRY_AFTER_MAX_S;
    }
    /* A path that is not an id names nothing to be processed: a malformed request, not a refused
     * value. */
    bool reading = strcmp(request->route->method, "GET") == 0;
    answer_status(request, reading && error->status == CFA_EINVAL ? 400 : 0, error->status,
                  public_field(error->field), detail);
}

void problem_last(http_request *request, cfa_status status) {
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.status != status) {
        memset(&error, 0, sizeof error);
        error.struct_size = sizeof error;
        error.status = status;
    }
    problem_error(request, &error);
}
