/* record_file.c - see record_file.h. */
#include "record_file.h"

#ifdef SERVER_STRIPE

#include "app.h"
#include "body.h"

#include <careforall/adapters/stripe.h>

bool record_file_time(const char *flag, const char *text, int64_t *out) {
    if (!text || body_parse_time(text, out))
        return true;
    config_complain("%s %s: give a time with its zone, such as 2030-12-31T23:59:59Z", flag, text);
    return false;
}

bool record_file_open(record_file *out, const server_config *config) {
    *out = (record_file){ NULL, CFA_RECONCILE_SPEC_INIT };
    if (!config->from != !config->until) {
        config_complain("--from and --until belong together");
        return false;
    }
    if (!record_file_time("--from", config->from, &out->spec.from_us) ||
        !record_file_time("--until", config->until, &out->spec.until_us))
        return false;
    if (cfa_stripe_export_open(&out->file, config->words[0]) != CFA_OK) {
        config_complain("%s: %s", config->words[0], app_last_error().message);
        return false;
    }
    out->spec.next = cfa_stripe_export_next;
    out->spec.next_self = out->file;
    out->spec.provider = "stripe";
    out->spec.all_ours = config->all_ours;
    return true;
}

void record_file_close(record_file *file) { cfa_stripe_export_free(file->file); }

#endif
