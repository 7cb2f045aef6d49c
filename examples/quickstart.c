/* quickstart.c - one donation: a campaign, a pledge, the double click, the payment, the total. */
#include <careforall/adapters/play.h>
#include <careforall/adapters/sqlite.h>
#include <careforall/careforall.h>
#include <stdio.h>
#include <stdlib.h>

static void check(cfa_status status) {
    cfa_error error = CFA_ERROR_INIT;
    if (status == CFA_OK || cfa_error_last(&error) != CFA_OK)
        return;
    fprintf(stderr, "%s: %s\n", cfa_status_name(status), error.message);
    exit(EXIT_FAILURE);
}

static void print_money(const char *label, cfa_money amount) {
    char text[CFA_MONEY_TEXT_SIZE];
    check(cfa_money_format(text, sizeof text, amount));
    printf("%-9s %s\n", label, text);
}

int main(int argc, char **argv) {
    cfa_play *play; /* a provider that moves no money */
    check(cfa_play_new(&play, NULL));
    cfa_engine_options options = { sizeof options, .provider = cfa_play_provider(play) };
    cfa_engine *engine; /* the book: one SQLite file */
    check(cfa_sqlite_open(&engine, argc > 1 ? argv[1] : "quickstart.db", &options));
    char key[37];
    check(cfa_key_new(key, sizeof key));
    cfa_campaign_spec aim = { sizeof aim, .key = key, .title = "Clean water", .currencies = "EUR" };
    check(cfa_money_parse(&aim.goal, "10000.00 EUR"));
    cfa_campaign *campaign;
    check(cfa_campaign_create(&campaign, engine, &aim));
    printf("%-9s %s\n", "campaign", cfa_campaign_title(campaign));
    print_money("goal", cfa_campaign_goal(campaign));

    check(cfa_key_new(key, sizeof key)); /* made once, kept until an answer came */
    cfa_pledge_spec gift = { sizeof gift, .key = key, .campaign_id = cfa_campaign_id(campaign) };
    check(cfa_money_parse(&gift.amount, "25.00 EUR"));
    cfa_pledge *first, *again;
    check(cfa_pledge_create(&first, engine, &gift));
    check(cfa_pledge_create(&again, engine, &gift)); /* the double click: nothing new is made */
    print_money("pledge", cfa_pledge_amount(first));
    printf("%-9s %s\n", "again", cfa_pledge_replayed(again) ? "replayed" : "a second pledge");

    cfa_payment *payment; /* the donor pays in the browser; we wait */
    check(cfa_play_confirm(play, cfa_pledge_client_secret(first), "pm_ok"));
    check(cfa_payment_wait(&payment, engine, cfa_pledge_payment_id(first), 5000));
    printf("%-9s %s\n", "payment", cfa_payment_state_name(cfa_payment_state_of(payment)));

    cfa_totals *sum;
    cfa_totals_spec fresh = { sizeof fresh, .at_least = cfa_payment_position(payment) };
    check(cfa_totals_get(&sum, engine, cfa_campaign_id(campaign), &fresh));
    print_money("raised", (cfa_money){ cfa_totals_at(sum, 0)->raised_minor, "EUR" });
    cfa_totals_free(sum), cfa_payment_free(payment), cfa_pledge_free(again), cfa_pledge_free(first);
    cfa_campaign_free(campaign), cfa_engine_close(engine), cfa_play_free(play);
}
