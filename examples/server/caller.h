/*
 * caller.h - at which address a caller is, also behind proxies. An address that was only claimed
 * must never be taken from anybody but a trusted proxy.
 */
#ifndef SERVER_CALLER_H
#define SERVER_CALLER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum { CALLER_BLOCKS_MAX = 32, CALLER_HOPS_MAX = 16 };

/* Of either family; IPv4 in its mapped form, ::ffff:a.b.c.d. */
typedef struct caller_address {
    unsigned char bytes[16];
} caller_address;

typedef struct caller_block {
    caller_address address;
    int bits; /* of the prefix, of 128 */
} caller_block;

typedef struct caller_blocks {
    int count;
    caller_block entries[CALLER_BLOCKS_MAX];
} caller_blocks;

/* Add an address or a CIDR block; NULL, or what is wrong with it. */
const char *caller_blocks_add(caller_blocks *list, const char *text, size_t size);
bool caller_blocks_hold(const caller_blocks *list, const caller_address *address);

/* All zeros for a family that is neither IPv4 nor IPv6. */
caller_address caller_of_socket(const struct sockaddr *address);

/*
 * Find who asked a trusted proxy, which is in `io`, by the values of its X-Forwarded-For headers,
 * first to last: the right-most address that is not a trusted proxy's, or else the left-most.
 * What stands left of it is never looked at. NULL, or what is wrong.
 */
const char *caller_forwarded(caller_address *io, const caller_blocks *trusted,
                             const char *const *values, int value_count);

/* What one caller may hold many of is cut off: IPv4 stays whole, of IPv6 the /64 remains. */
caller_address caller_network(const caller_address *address);
bool caller_is_loopback(const caller_address *address);
void caller_text(char out[INET6_ADDRSTRLEN], const caller_address *address);

#endif
