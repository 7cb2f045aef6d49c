/*
 * pledge_token.h - the token that shows an anonymous donor's own pledge to who made it: a keyed
 * hash of the pledge's id, so that nothing is stored and a repeat of the key gets the same one.
 */
#ifndef SERVER_PLEDGE_TOKEN_H
#define SERVER_PLEDGE_TOKEN_H

#include "secrets.h"

#define PLEDGE_TOKEN_HEADER "Careforall-Pledge-Token"

enum { PLEDGE_TOKEN_SIZE = 48 }; /* "plt_" and 43 characters of base64url, with the NUL */

/* Make the token with the first key. */
void pledge_token_make(char out[PLEDGE_TOKEN_SIZE], const secret_list *keys, const char *pledge_id);
/* Compare with the token of every key, in constant time. */
bool pledge_token_fits(const secret_list *keys, const char *pledge_id, const char *text);

#endif
