/* pledge_token.c - making and checking pledge tokens. Stateless; must never log one. */
#include "pledge_token.h"

#include <sodium.h>

#include <string.h>

_Static_assert(PLEDGE_TOKEN_SIZE ==
                   4 + sodium_base64_ENCODED_LEN(crypto_auth_hmacsha256_BYTES,
                                                 sodium_base64_VARIANT_URLSAFE_NO_PADDING),
               "the whole hash");

static void make(char out[PLEDGE_TOKEN_SIZE], const char *key, const char *pledge_id) {
    static const char purpose[] = "careforall pledge token 1"; /* hashed with its NUL */
    unsigned char hash[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key, strlen(key));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)purpose, sizeof purpose);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)pledge_id, strlen(pledge_id));
    crypto_auth_hmacsha256_final(&state, hash);
    memcpy(out, "plt_", 4);
    sodium_bin2base64(out + 4, PLEDGE_TOKEN_SIZE - 4, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(&state, sizeof state);
}

void pledge_token_make(char out[PLEDGE_TOKEN_SIZE], const secret_list *keys,
                       const char *pledge_id) {
    make(out, keys->text[0], pledge_id);
}

bool pledge_token_fits(const secret_list *keys, const char *pledge_id, const char *text) {
    char wanted[PLEDGE_TOKEN_SIZE];
    int found = 0;
    if (strlen(text) != PLEDGE_TOKEN_SIZE - 1)
        return false;
    for (int i = 0; i < keys->count; i++) {
        make(wanted, keys->text[i], pledge_id);
        found |= sodium_memcmp(wanted, text, PLEDGE_TOKEN_SIZE - 1) == 0;
    }
    sodium_memzero(wanted, sizeof wanted);
    return found != 0;
}
