/* record_file.c - see record_file.h. */
#include "record_file.h"
#include "app.h"
#include "body.h"

#ifdef SERVER_STRIPE

#include <careforall/adapters/stripe.h>

cfa_status record_file_read(record_file *out, const char *path) {
    *out = (record_file){ NULL, CFA_RECONCILE_SPEC_INIT };
    cfa_status status = cfa_stripe_export_open(&out->file, path);
    out->spec.next = cfa_stripe_export_next;
    out->spec.next_self = out->file;
    out->spec.provider = "stripe";
    return status;
}

void record_file_close(record_file *file) { cfa_stripe_export_free(file->file); }

#else /* nobody asks for one: no command takes a file, and handlers_job.c refuses it */

cfa_status record_file_read(record_file *out, const char *path) {
    (void)path;
    *out = (record_file){ NULL, CFA_RECONCILE_SPEC_INIT };
    return CFA_ENOTSUP;
}

void record_file_close(record_file *file) { (void)file; }

#endif

bool record_file_time(const char *flag, const char *text, int64_t *out) {
    if (!text || body_parse_time(text, out))
        return true;
    config_complain("%s %s: give a time with its zone, such as 2030-12-31T23:59:59Z", flag, text);
    return false;
}

bool record_file_open(record_file *out, const server_config *config) {
    int64_t from_us = 0, until_us = 0;
    if (!config->from != !config->until) {
        config_complain("--from and --until belong together");
        return false;
    }
    if (!record_file_time("--from", config->from, &from_us) ||
        !record_file_time("--until", config->until, &until_us))
        return false;
    if (record_file_read(out, config->words[0]) != CFA_OK) {
        config_complain("%s: %s", config->words[0], app_last_error().message);
        return false;
    }
    out->spec.from_us = from_us;
    out->spec.until_us = until_us;
    out->spec.all_ours = config->all_ours;
    return true;
}
