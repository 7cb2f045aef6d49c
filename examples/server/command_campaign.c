/*
 * command_campaign.c - campaigns from the shell, beside a running server. Writing is idempotent by
 * key, as over HTTP, with the service's scope.
 */
#include "body.h"
#include "command.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define SCOPE "service"

enum { VERSION_TRIES = 5 };

static const char *money_text(char out[CFA_MONEY_TEXT_SIZE], cfa_money amount) {
    if (amount.currency[0] == '\0' || cfa_money_format(out, CFA_MONEY_TEXT_SIZE, amount) != CFA_OK)
        out[0] = '\0';
    return out;
}

/* ---- create --------------------------------------------------------------------------------- */

static bool read_spec(cfa_campaign_spec *spec, const server_config *config) {
    if (!config->title || !config->currencies) {
        config_complain("give --title TEXT and --currencies LIST, such as --title \"Clean water\" "
                        "--currencies EUR");
        return false;
    }
    spec->scope = SCOPE;
    spec->title = config->title;
    spec->currencies = config->currencies;
    spec->late_rule = config->late_rule;
    if (config->goal && cfa_money_parse(&spec->goal, config->goal) != CFA_OK) {
        config_complain("--goal %s: give an amount and its currency, such as \"10000.00 EUR\"",
                        config->goal);
        return false;
    }
    if (config->deadline && !body_parse_time(config->deadline, &spec->deadline_us)) {
        config_complain("--deadline %s: give a time with its zone, such as 2030-12-31T23:59:59Z",
                        config->deadline);
        return false;
    }
    return true;
}

int command_campaign_create(const server_config *config) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    char fresh[40];
    if (!read_spec(&spec, config))
        return EXIT_CONFIG;
    spec.key = command_key(fresh, config);
    spec.actor = config->actor;
    spec.reason = config->reason;
    cfa_engine *engine = command_make(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_campaign *campaign = NULL;
    cfa_status status = cfa_campaign_create(&campaign, engine, &spec);
    int code = EXIT_SUCCESS;
    if (status != CFA_OK)
        code = command_write_failed("cannot create the campaign", status, spec.key);
    else if (config->json)
        code = command_print_json(view_campaign(campaign));
    else
        puts(cfa_campaign_id(campaign));
    cfa_campaign_free(campaign);
    cfa_engine_close(engine);
    return code;
}

/* ---- list ----------------------------------------------------------------------------------- */

static int print_list(const server_config *config, const cfa_campaign_list *list) {
    json_t *rows = config->json ? json_array() : NULL;
    if (config->json && !rows)
        return command_print_json(NULL);
    for (size_t i = 0; i < cfa_campaign_list_size(list); i++) {
        const cfa_campaign *campaign = cfa_campaign_list_at(list, i);
        if (rows && json_array_append_new(rows, view_campaign(campaign)) != 0) {
            json_decref(rows);
            return command_print_json(NULL);
        }
        if (!rows)
            printf("%s\t%s\t%s\t%s\n", cfa_campaign_id(campaign),
                   cfa_campaign_state_name(cfa_campaign_state_of(campaign)),
                   cfa_campaign_currencies(campaign), cfa_campaign_title(campaign));
    }
    const char *next = cfa_campaign_list_next(list);
    if (rows)
        return command_print_json(json_pack("{s:o, s:s?}", "campaigns", rows, "next", next));
    if (next)
        printf("more: careforall-server campaign list --after %s\n", next);
    return EXIT_SUCCESS;
}

int command_campaign_list(const server_config *config) {
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_page page = CFA_PAGE_INIT;
    page.after = config->after;
    page.limit = config->limit;
    cfa_campaign_list *list = NULL;
    cfa_status status = cfa_campaign_page(&list, engine, &page);
    int code = status == CFA_OK ? print_list(config, list)
                                : command_failed("cannot list the campaigns", status);
    cfa_campaign_list_free(list);
    cfa_engine_close(engine);
    return code;
}

/* ---- show ----------------------------------------------------------------------------------- */

static void print_time(const char *name, int64_t time_us) {
    json_t *text = time_us != 0 ? view_time(time_us) : NULL;
    if (json_is_string(text))
        printf("%-12s%s\n", name, json_string_value(text));
    json_decref(text);
}

static void print_campaign(const cfa_campaign *campaign, const cfa_totals *totals) {
    char goal[CFA_MONEY_TEXT_SIZE];
    printf("%-12s%s\n", "id", cfa_campaign_id(campaign));
    printf("%-12s%s\n", "title", cfa_campaign_title(campaign));
    printf("%-12s%s\n", "state", cfa_campaign_state_name(cfa_campaign_state_of(campaign)));
    printf("%-12s%s\n", "currencies", cfa_campaign_currencies(campaign));
    if (*money_text(goal, cfa_campaign_goal(campaign)) != '\0')
        printf("%-12s%s\n", "goal", goal);
    print_time("deadline", cfa_campaign_deadline_us(campaign));
    printf("%-12s%lld\n", "version", (long long)cfa_campaign_version(campaign));
    for (size_t i = 0; i < cfa_totals_size(totals); i++) {
        const cfa_totals_row *row = cfa_totals_at(totals, i);
        cfa_money amount = { row->raised_minor, "" };
        memcpy(amount.currency, row->currency, sizeof amount.currency);
        char raised[CFA_MONEY_TEXT_SIZE], net[CFA_MONEY_TEXT_SIZE];
        money_text(raised, amount);
        amount.minor = row->net_minor;
        printf("%-12s%s (net %s) from %lld donations\n", "raised", raised, money_text(net, amount),
               (long long)row->donation_count);
    }
}

int command_campaign_show(const server_config *config) {
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_campaign *campaign = NULL;
    cfa_totals *totals = NULL;
    cfa_status status = cfa_campaign_get_with_totals(&campaign, &totals, engine, config->words[0]);
    int code = EXIT_SUCCESS;
    if (status != CFA_OK)
        code = command_failed("cannot show the campaign", status);
    else if (config->json) {
        json_t *out = view_campaign(campaign);
        json_t *numbers = out ? view_totals(totals) : NULL;
        if (!numbers || json_object_set_new(out, "totals", numbers) != 0) {
            json_decref(out);
            out = NULL;
        }
        code = command_print_json(out);
    } else
        print_campaign(campaign, totals);
    cfa_campaign_free(campaign);
    cfa_totals_free(totals);
    cfa_engine_close(engine);
    return code;
}

/* ---- end ------------------------------------------------------------------------------------ */

/* Without --version the newest is meant, whichever it is by then. */
static cfa_status end_newest(cfa_campaign **out, cfa_engine *engine, const server_config *config,
                             const char *key) {
    const cfa_actor by = command_actor(config);
    cfa_status status = CFA_EVERSION;
    for (int i = 0; i < VERSION_TRIES && status == CFA_EVERSION; i++) {
        cfa_campaign *seen = NULL;
        status = cfa_campaign_get(&seen, engine, config->words[0]);
        if (status == CFA_OK)
            status = cfa_campaign_end(out, engine, config->words[0], cfa_campaign_version(seen),
                                      SCOPE, key, &by);
        cfa_campaign_free(seen);
    }
    return status;
}

int command_campaign_end(const server_config *config) {
    char fresh[40];
    const char *key = command_key(fresh, config);
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    const cfa_actor by = command_actor(config);
    cfa_campaign *campaign = NULL;
    cfa_status status = config->version == 0 ? end_newest(&campaign, engine, config, key)
                                             : cfa_campaign_end(&campaign, engine, config->words[0],
                                                                config->version, SCOPE, key, &by);
    int code = EXIT_SUCCESS;
    if (status != CFA_OK)
        code = command_write_failed("cannot end the campaign", status, key);
    else if (config->json)
        code = command_print_json(view_campaign(campaign));
    else
        printf("%s %s\n", cfa_campaign_id(campaign),
               cfa_campaign_state_name(cfa_campaign_state_of(campaign)));
    cfa_campaign_free(campaign);
    cfa_engine_close(engine);
    return code;
}
