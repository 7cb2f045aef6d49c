/*
 * error.c - names and texts of the statuses, and each thread's last error. The error is a plain
 * thread-local struct: it owns no memory, so a thread that ends leaves nothing behind. Never
 * allocates, and keeps errno as it was.
 */
#include <careforall/sys/platform.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local cfa_error last_error;

/* What a caller built against the first release passes; fields are appended behind it. */
enum { ERROR_SIZE_FIRST = offsetof(cfa_error, message) + sizeof(((cfa_error *)0)->message) };

const char *cfa_status_name(cfa_status status) {
    switch (status) {
#define STATUS_NAME(name, code, text)                                                              \
    case name: return #name;
        CFA_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default: return "CFA_EBUG";
    }
}

const char *cfa_status_text(cfa_status status) {
    switch (status) {
#define STATUS_TEXT(name, code, text)                                                              \
    case name: return text;
        CFA_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default: return cfa_status_text(CFA_EBUG);
    }
}

cfa_status_class cfa_status_class_of(cfa_status status) {
    if (status == CFA_OK)
        return CFA_CLASS_OK;
    if (status <= -100 && status > -700)
        return -status / 100;
    return CFA_CLASS_INTERNAL;
}

/*
 * Copy one line: control characters, which native messages end in and spread over lines, become
 * spaces, and a cut never leaves half a UTF-8 character.
 */
static void copy_line(char *out, size_t out_size, const char *text) {
    size_t size = 0;
    while (text[size] != '\0' && size + 1 < out_size) {
        unsigned char byte = (unsigned char)text[size];
        out[size++] = byte < 0x20 || byte == 0x7f ? ' ' : (char)byte;
    }
    if (text[size] != '\0' && ((unsigned char)text[size] & 0xc0) == 0x80) {
        while (size > 0 && ((unsigned char)out[size - 1] & 0xc0) == 0x80)
            size--;
        if (size > 0)
            size--;
    }
    while (size > 0 && out[size - 1] == ' ')
        size--;
    out[size] = '\0';
}

cfa_status cfa_error_set(cfa_status status, const char *origin, const char *field,
                         int32_t native_code, const char *message) {
    assert(status < 0);
    cfa_error *error = &last_error;
    error->struct_size = sizeof(*error);
    error->status = status;
    error->native_code = native_code;
    error->retry_after_ms = 0;
    copy_line(error->origin, sizeof(error->origin), origin != NULL ? origin : "");
    copy_line(error->field, sizeof(error->field), field != NULL ? field : "");
    copy_line(error->message, sizeof(error->message),
              message != NULL ? message : cfa_status_text(status));
    return status;
}

cfa_status cfa_error_format(cfa_status status, const char *origin, const char *field,
                            int32_t native_code, const char *format, ...) {
    int saved_errno = errno;
    /*
     * One byte more than a message holds, so that copy_line sees what was cut and ends on a whole
     * character.
     */
    char message[sizeof(last_error.message) + 1];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    errno = saved_errno;
    return cfa_error_set(status, origin, field, native_code, size >= 0 ? message : NULL);
}

/* A wrong call here is answered but not remembered: the caller came for the failure that is. */
cfa_status cfa_error_last(cfa_error *out) {
    if (out == NULL)
        return CFA_EMISUSE;
    size_t size = out->struct_size;
    if (size < ERROR_SIZE_FIRST)
        return CFA_EABI;
    size_t known = size < sizeof(last_error) ? size : sizeof(last_error);
    memcpy(out, &last_error, known);
    memset((char *)out + known, 0, size - known);
    out->struct_size = size;
    return CFA_OK;
}

cfa_status cfa_error_restore(const cfa_error *error) {
    assert(error->status < 0);
    size_t known =
        error->struct_size < sizeof(last_error) ? error->struct_size : sizeof(last_error);
    assert(known >= ERROR_SIZE_FIRST);
    memset(&last_error, 0, sizeof(last_error));
    memcpy(&last_error, error, known);
    last_error.struct_size = sizeof(last_error);
    return last_error.status;
}

void cfa_error_clear(void) { memset(&last_error, 0, sizeof(last_error)); }
