/*
 * campaign.c - creating, changing and ending campaigns.
 */
#include "core/decide/evidence.h"
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.campaign"

bool cfa__campaign_has_ended(const cfa__campaign *campaign, int64_t now_us) {
    return campaign->state == CFA_CAMPAIGN_ENDED ||
           (campaign->deadline_us != 0 && now_us >= campaign->deadline_us);
}

bool cfa__currency_is_listed(cfa_slice currencies, const char *currency) {
    const char *list = currencies.data;
    for (size_t at = 0; at + 3 <= currencies.size; at += 4) {
        if (memcmp(list + at, currency, 3) == 0)
            return true;
    }
    return false;
}

/* Answer with the campaign as it stands: for repeats. */
static cfa_status answer_found(cfa__working_set *set, cfa__command *command, cfa__id id,
                               bool replayed) {
    cfa__campaign_answer *answer = command->output;
    const void *campaign;
    cfa_status status = cfa__find_id(set, &cfa__campaign_kind, id, &campaign);
    if (status == CFA_OK)
        status = cfa__read_head(set, &command->position);
    if (status != CFA_OK)
        return status;
    assert(campaign != NULL);
    answer->campaign = campaign;
    answer->replayed = replayed;
    return CFA_OK;
}

/* What an act tells of a campaign. */
static cfa_status describe(cfa__working_set *set, const cfa__campaign *campaign, cfa_slice *out) {
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 512);
    cfa__json_open(&json, NULL, '{');
    cfa__json_slice(&json, "title", campaign->title);
    cfa__json_slice(&json, "currencies", campaign->currencies);
    cfa__json_text(&json, "state", cfa_campaign_state_name((cfa_campaign_state)campaign->state));
    cfa__json_int(&json, "goal_minor", campaign->goal_minor);
    cfa__json_text(&json, "goal_currency",
                   campaign->goal_currency[0] != '\0' ? campaign->goal_currency : NULL);
    cfa__json_int(&json, "deadline_us", campaign->deadline_us);
    cfa__json_text(&json, "late_rule",
                   campaign->late_rule == CFA_LATE_ACCEPT   ? "accept"
                   : campaign->late_rule == CFA_LATE_REFUSE ? "refuse"
                   : campaign->late_rule == CFA_LATE_REFUND ? "refund"
                                                            : "hold");
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

static cfa_status note_act(cfa__working_set *set, const cfa__campaign_change *change,
                           const char *action, const cfa__campaign *campaign, cfa_slice before) {
    char subject[CFA_ID_TEXT_SIZE];
    cfa__id_format(subject, "cmp", campaign->id);
    cfa__act act = {
        .action = cfa__slice(action),
        .subject = cfa__slice(subject),
        .actor = change->by.actor,
        .reason = change->by.reason,
        .before = before,
    };
    cfa_status status = describe(set, campaign, &act.after);
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}

static cfa_status fill(cfa__working_set *set, cfa__campaign *campaign,
                       const cfa__campaign_change *change) {
    campaign->title = change->title;
    campaign->currencies = change->currencies;
    campaign->goal_minor = change->goal.minor;
    memcpy(campaign->goal_currency, change->goal.currency, sizeof campaign->goal_currency);
    campaign->deadline_us = change->deadline_us;
    campaign->late_rule = change->late_rule;
    campaign->updated_us = cfa__now_us(set);
    cfa_status status = cfa__keep(set, &campaign->title);
    return status == CFA_OK ? cfa__keep(set, &campaign->currencies) : status;
}

cfa_status cfa__campaign_create(cfa__working_set *set, cfa__command *command) {
    const cfa__campaign_change *change = command->input;
    cfa__id resource;
    cfa_status status = cfa__key_resolve(set, &change->keyed, &resource);
    if (status != CFA_OK)
        return status;
    if (!cfa__id_is_null(resource)) {
        bool ours = cfa__id_compare(resource, change->campaign_id) == 0;
        return answer_found(set, command, resource, !ours);
    }
    if (change->deadline_us != 0 && change->deadline_us <= cfa__now_us(set)) {
        return cfa_error_set(CFA_EINVAL, ORIGIN, "deadline_us", 0,
                             "the deadline must lie in the future");
    }
    cfa__campaign campaign;
    memset(&campaign, 0, sizeof campaign);
    campaign.id = change->campaign_id;
    campaign.state = CFA_CAMPAIGN_OPEN;
    campaign.created_us = cfa__now_us(set);
    void *draft;
    status = fill(set, &campaign, change);
    if (status == CFA_OK)
        status = cfa__key_bind(set, &change->keyed, campaign.id);
    if (status == CFA_OK)
        status = cfa__insert(set, &cfa__campaign_kind, &campaign, &draft);
    if (status == CFA_OK)
        status = cfa__emit_campaign(set, draft, CFA__EVENT_CAMPAIGN_CREATED);
    if (status == CFA_OK)
        status = note_act(set, change, "campaign.create", draft, (cfa_slice){ NULL, 0 });
    if (status == CFA_OK)
        ((cfa__campaign_answer *)command->output)->campaign = draft;
    return status;
}

/* The steps that update and end share: the key, the campaign, its version. `*out` is NULL after a
 * repeat, whose answer is set. */
static cfa_status change_begin(cfa__working_set *set, cfa__command *command, cfa__campaign **out) {
    const cfa__campaign_change *change = command->input;
    *out = NULL;
    cfa__id resource;
    cfa_status status = cfa__key_resolve(set, &change->keyed, &resource);
    if (status < 0)
        return status;
    void *draft = NULL;
    cfa_status found = cfa__edit_id(set, &cfa__campaign_kind, change->campaign_id, &draft);
    if (status == CFA_OK && found < 0)
        status = found;
    if (status == CFA__MISS || found == CFA__MISS)
        return CFA__MISS;
    if (!cfa__id_is_null(resource))
        return answer_found(set, command, resource, true);
    cfa__campaign *campaign = draft;
    if (campaign == NULL)
        return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "campaign_id", 0, "there is no such campaign");
    if (campaign->version != change->expected_version) {
        return cfa_error_format(CFA_EVERSION, ORIGIN, "expected_version", 0,
                                "the campaign is at version %lld", (long long)campaign->version);
    }
    *out = campaign;
    return CFA_OK;
}

cfa_status cfa__campaign_update(cfa__working_set *set, cfa__command *command) {
    const cfa__campaign_change *change = command->input;
    cfa__campaign *campaign;
    cfa_status status = change_begin(set, command, &campaign);
    if (status != CFA_OK || campaign == NULL)
        return status;
    if (campaign->state != CFA_CAMPAIGN_OPEN)
        return cfa_error_set(CFA_ESTATE, ORIGIN, "campaign_id", 0, "the campaign has ended");
    const char *codes = campaign->currencies.data;
    for (size_t at = 0; at + 3 <= campaign->currencies.size; at += 4) {
        if (!cfa__currency_is_listed(change->currencies, codes + at)) {
            return cfa_error_format(CFA_EINVAL, ORIGIN, "currencies", 0,
                                    "%.3s is accepted already and cannot be taken away",
                                    codes + at);
        }
    }
    cfa_slice before;
    status = describe(set, campaign, &before);
    if (status == CFA_OK)
        status = fill(set, campaign, change);
    if (status == CFA_OK)
        status = cfa__key_bind(set, &change->keyed, campaign->id);
    if (status == CFA_OK)
        status = cfa__emit_campaign(set, campaign, CFA__EVENT_CAMPAIGN_UPDATED);
    if (status == CFA_OK)
        status = note_act(set, change, "campaign.update", campaign, before);
    if (status == CFA_OK)
        ((cfa__campaign_answer *)command->output)->campaign = campaign;
    return status;
}

cfa_status cfa__campaign_end(cfa__working_set *set, cfa__command *command) {
    const cfa__campaign_change *change = command->input;
    const void *now = NULL;
    cfa_status status = cfa__find_id(set, &cfa__campaign_kind, change->campaign_id, &now);
    if (status < 0)
        return status;
    if (now != NULL && ((const cfa__campaign *)now)->state == CFA_CAMPAIGN_ENDED)
        return answer_found(set, command, change->campaign_id, true);
    cfa__campaign *campaign;
    status = change_begin(set, command, &campaign);
    if (status != CFA_OK || campaign == NULL)
        return status;
    cfa_slice before;
    status = describe(set, campaign, &before);
    if (status != CFA_OK)
        return status;
    campaign->state = CFA_CAMPAIGN_ENDED;
    campaign->updated_us = cfa__now_us(set);
    status = cfa__key_bind(set, &change->keyed, campaign->id);
    if (status == CFA_OK)
        status = cfa__emit_campaign(set, campaign, CFA__EVENT_CAMPAIGN_ENDED);
    if (status == CFA_OK)
        status = note_act(set, change, "campaign.end", campaign, before);
    if (status == CFA_OK)
        ((cfa__campaign_answer *)command->output)->campaign = campaign;
    return status;
}
