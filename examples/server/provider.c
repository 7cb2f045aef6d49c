/*
 * provider.c - opening the play provider or Stripe. Must never let a webhook in whose secret
 * everybody knows.
 */
#include "provider.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static bool fail(char out_why[SECRET_MESSAGE_SIZE], const char *what, const char *fix) {
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.message[0] == '\0')
        snprintf(error.message, sizeof error.message, "no detail");
    snprintf(out_why, SECRET_MESSAGE_SIZE, "%s: %s%s", what, error.message, fix);
    return false;
}

/* ---- play ----------------------------------------------------------------------------------- */

static bool open_play(server_provider *out, const server_secrets *secrets,
                      char out_why[SECRET_MESSAGE_SIZE]) {
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    /* Ids of the play provider must not repeat after a restart: the book remembers the old ones. */
    options.seed = uv_hrtime() ^ ((uint64_t)getpid() << 40);
    char secret[CFA_ID_TEXT_SIZE + 8] = "";
    bool given = secrets->webhooks.count > 0;
    options.webhook_secret = given ? secrets->webhooks.text[0] : secret;
    if (!given && cfa_key_new(secret, sizeof secret) != CFA_OK)
        return fail(out_why, "the system gave no randomness", "");
    if (cfa_play_new(&out->play, &options) != CFA_OK)
        return fail(out_why, "cannot start the play provider", "");
    out->adapter = cfa_play_provider(out->play);
    return true;
}

/* ---- Stripe --------------------------------------------------------------------------------- */

#ifdef SERVER_STRIPE

static size_t list_secrets(const char *out[SECRETS_MAX], const secret_list *list) {
    for (int i = 0; i < list->count; i++)
        out[i] = list->text[i];
    return (size_t)list->count;
}

static bool open_stripe(server_provider *out, const server_config *config,
                        const server_secrets *secrets, char out_why[SECRET_MESSAGE_SIZE]) {
    const char *webhooks[SECRETS_MAX];
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = secrets->stripe_key.text[0];
    options.webhook_secrets = webhooks;
    options.webhook_secret_count = list_secrets(webhooks, &secrets->webhooks);
    options.base_url = config->stripe_base_url;
    options.mode = config->stripe_mode == STRIPE_INTENT ? CFA_STRIPE_INTENT : CFA_STRIPE_CHECKOUT;
    if (cfa_stripe_new(&out->stripe, &options) != CFA_OK)
        return fail(out_why, "cannot start the stripe provider", "");
    out->adapter = cfa_stripe_provider(out->stripe);
    out->livemode = cfa_stripe_livemode(out->stripe);
    return true;
}

static bool roll_stripe(server_provider *provider, const server_secrets *secrets,
                        char out_why[SECRET_MESSAGE_SIZE]) {
    const char *webhooks[SECRETS_MAX];
    size_t count = list_secrets(webhooks, &secrets->webhooks);
    return cfa_stripe_secrets_set(provider->stripe, secrets->stripe_key.text[0], webhooks, count) ==
               CFA_OK ||
           fail(out_why, "the stripe provider does not take the new secrets", "");
}

#else

static bool open_stripe(server_provider *out, const server_config *config,
                        const server_secrets *secrets, char out_why[SECRET_MESSAGE_SIZE]) {
    (void)out;
    (void)config;
    (void)secrets;
    snprintf(out_why, SECRET_MESSAGE_SIZE,
             "this build has no stripe provider: install libcurl's development files and build "
             "again");
    return false;
}

#endif

/* ---- either --------------------------------------------------------------------------------- */

bool provider_open(server_provider *out, const server_config *config, const server_secrets *secrets,
                   char out_why[SECRET_MESSAGE_SIZE]) {
    memset(out, 0, sizeof *out);
    out->name = "none";
    bool good = true;
    if (config->provider == PROVIDER_PLAY) {
        out->name = "play";
        good = open_play(out, secrets, out_why);
    } else if (config->provider == PROVIDER_STRIPE) {
        out->name = "stripe";
        good = open_stripe(out, config, secrets, out_why);
    }
    return good;
}

bool provider_roll(server_provider *provider, const server_secrets *secrets,
                   char out_why[SECRET_MESSAGE_SIZE]) {
#ifdef SERVER_STRIPE
    if (provider->stripe)
        return roll_stripe(provider, secrets, out_why);
#endif
    /* The play provider signs its own webhooks: its secret lasts as long as it does. */
    (void)provider;
    (void)secrets;
    (void)out_why;
    return true;
}

void provider_close(server_provider *provider) {
    cfa_play_free(provider->play);
#ifdef SERVER_STRIPE
    if (provider->stripe)
        cfa_stripe_free(provider->stripe);
#endif
    memset(provider, 0, sizeof *provider);
}
