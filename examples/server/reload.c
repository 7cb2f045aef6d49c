/*
 * reload.c - SIGHUP: secrets are read again and rolled between two requests. Must never leave the
 * server with fewer secrets than it had: what cannot be read changes nothing.
 */
#include "app.h"
#include "log.h"
#include "service.h"

#include <string.h>

static void run_reload(uv_work_t *work) {
    server_app *app = work->data;
    app->reload_good = secrets_read(&app->fresh, app->config, false, app->reload_reason) &&
                       provider_roll(&app->provider, &app->fresh, app->reload_reason);
}

static void keep_old(server_app *app) {
    log_line("error", "secrets_kept", json_pack("{s:s}", "text", app->reload_reason));
}

static void take_new(server_app *app) {
    /* A key file beside the database that is gone is not a wish to have no key. */
    if (app->fresh.pledge_token_keys.count == 0)
        app->fresh.pledge_token_keys = app->secrets.pledge_token_keys;
    app->secrets = app->fresh;
    log_line("info", "secrets_rolled",
             json_pack("{s:i, s:i, s:i}", "service_tokens", app->secrets.tokens.count,
                       "webhook_secrets", app->secrets.webhooks.count, "pledge_token_keys",
                       app->secrets.pledge_token_keys.count));
}

static void on_reloaded(uv_work_t *work, int status) {
    server_app *app = work->data;
    app->reloading = false;
    if (status == 0 && app->reload_good)
        take_new(app);
    else if (status == 0)
        keep_old(app);
    secrets_forget(&app->fresh);
    if (app->stopping)
        return;
    if (app->reload_again)
        app_reload(app);
    else
        service_notify("READY=1");
}

void app_reload(server_app *app) {
    app->reload_again = app->reloading; /* what changes while it reads must be read again */
    if (app->reloading || app->stopping)
        return;
    service_reloading();
    app->reload_work.data = app;
    app->reloading = uv_queue_work(&app->loop, &app->reload_work, run_reload, on_reloaded) == 0;
}
