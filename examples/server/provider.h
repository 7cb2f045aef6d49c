/* provider.h - the payment provider that the configuration names, behind the engine's interface. */
#ifndef SERVER_PROVIDER_H
#define SERVER_PROVIDER_H

#include "secrets.h"

#include <careforall/adapters/play.h>
#ifdef SERVER_STRIPE
#include <careforall/adapters/stripe.h>
#endif

typedef struct server_provider {
    const cfa_provider *adapter; /* NULL: none */
    const char *name;            /* "play", "stripe", "none" */
    int32_t livemode;
    cfa_play *play; /* NULL unless it is the play provider */
#ifdef SERVER_STRIPE
    cfa_stripe *stripe;
#endif
} server_provider;

/* Make it; false with one line in `out_why`. No request is made yet. */
bool provider_open(server_provider *out, const server_config *config, const server_secrets *secrets,
                   char out_why[SECRET_MESSAGE_SIZE]);
/* Take new secrets, between two calls; false: the old ones stay. Any thread. */
bool provider_roll(server_provider *provider, const server_secrets *secrets,
                   char out_why[SECRET_MESSAGE_SIZE]);
void provider_close(server_provider *provider);

#endif
