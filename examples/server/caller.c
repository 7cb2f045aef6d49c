/* caller.c - addresses, blocks of them, and what proxies say of them. Pure. */
#include "caller.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

enum { ADDRESS_BITS = 128, MAPPED_BITS = 96, NETWORK_BYTES = 8, PORT_DIGITS_MAX = 5 };

static const unsigned char mapped_prefix[MAPPED_BITS / 8] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const caller_address *address) {
    return memcmp(address->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static caller_address map(const void *ipv4) {
    caller_address out;
    memcpy(out.bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(out.bytes + sizeof mapped_prefix, ipv4, 4);
    return out;
}

/* Without a port, brackets or a zone. */
static bool read_plain(caller_address *out, const char *text, size_t size) {
    char copy[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    if (size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (strlen(copy) != size)
        return false;
    if (inet_pton(AF_INET, copy, &ipv4) == 1) {
        *out = map(&ipv4);
        return true;
    }
    return inet_pton(AF_INET6, copy, out->bytes) == 1;
}

static bool is_port(const char *text, size_t size) {
    return size >= 2 && size <= PORT_DIGITS_MAX + 1 && text[0] == ':' &&
           strspn(text + 1, "0123456789") >= size - 1;
}

/* As proxies write it: 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1] or
 * [2001:db8::1]:4711. */
static bool read_forwarded(caller_address *out, const char *text, size_t size) {
    if (size > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', size);
        size_t inner = end ? (size_t)(end - text) - 1 : 0;
        size_t rest = end ? size - inner - 2 : 0;
        return end && memchr(text, ':', inner + 1) && (rest == 0 || is_port(end + 1, rest)) &&
               read_plain(out, text + 1, inner);
    }
    const char *colon = memchr(text, ':', size);
    size_t before = colon ? (size_t)(colon - text) : size;
    if (colon && memchr(text, '.', before))
        return is_port(colon, size - before) && read_plain(out, text, before);
    return read_plain(out, text, size);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static bool in_prefix(const caller_address *left, const caller_address *right, int bits) {
    size_t whole = (size_t)bits / 8;
    unsigned mask = 0xff00u >> (bits % 8) & 0xffu;
    return memcmp(left->bytes, right->bytes, whole) == 0 &&
           (mask == 0 || ((left->bytes[whole] ^ right->bytes[whole]) & mask) == 0);
}

static bool has_bits_beyond(const caller_block *block) {
    for (int bit = block->bits; bit < ADDRESS_BITS; bit++)
        if (block->address.bytes[bit / 8] & (0x80u >> (bit % 8)))
            return true;
    return false;
}

/* Up to three digits behind the slash; -1 when it is something else. */
static int read_bits(const char *text, size_t size) {
    int value = 0;
    if (size == 0 || size > 3)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

const char *caller_blocks_add(caller_blocks *list, const char *text, size_t size) {
    if (list->count == CALLER_BLOCKS_MAX)
        return "at most 32 are taken";
    caller_block *block = &list->entries[list->count];
    const char *slash = memchr(text, '/', size);
    size_t address_size = slash ? (size_t)(slash - text) : size;
    if (!read_plain(&block->address, text, address_size))
        return "it is no address";
    int first = memchr(text, ':', address_size) ? 0 : MAPPED_BITS;
    int bits = slash ? read_bits(slash + 1, size - address_size - 1) : ADDRESS_BITS - first;
    if (bits < 0 || first + bits > ADDRESS_BITS)
        return first == 0 ? "behind the slash stands a number from 1 to 128"
                          : "behind the slash stands a number from 1 to 32";
    block->bits = first + bits;
    if (bits == 0 || (is_mapped(&block->address) && block->bits <= MAPPED_BITS))
        return "everybody would be believed";
    if (has_bits_beyond(block))
        return "it has bits behind its prefix";
    list->count++;
    return NULL;
}

bool caller_blocks_hold(const caller_blocks *list, const caller_address *address) {
    for (int i = 0; i < list->count; i++) {
        const caller_block *block = &list->entries[i];
        if (is_mapped(&block->address) == is_mapped(address) &&
            in_prefix(&block->address, address, block->bits))
            return true;
    }
    return false;
}

/* ---- who it is ------------------------------------------------------------------------------ */

caller_address caller_of_socket(const struct sockaddr *address) {
    caller_address out = { { 0 } };
    if (address && address->sa_family == AF_INET) {
        struct sockaddr_in inet;
        memcpy(&inet, address, sizeof inet);
        out = map(&inet.sin_addr);
    } else if (address && address->sa_family == AF_INET6) {
        struct sockaddr_in6 inet;
        memcpy(&inet, address, sizeof inet);
        memcpy(out.bytes, &inet.sin6_addr, sizeof out.bytes);
    }
    return out;
}

const char *caller_forwarded(caller_address *io, const caller_blocks *trusted,
                             const char *const *values, int value_count) {
    int hops = 0;
    for (int i = value_count - 1; i >= 0; i--) {
        const char *text = values[i];
        for (size_t end = strlen(text), begin; end > 0; end = begin > 0 ? begin - 1 : 0) {
            for (begin = end; begin > 0 && text[begin - 1] != ',';)
                begin--;
            size_t from = begin + strspn(text + begin, " \t"), to = end;
            while (to > from && (text[to - 1] == ' ' || text[to - 1] == '\t'))
                to--;
            if (to <= from)
                continue; /* an empty element of a list means nothing */
            if (++hops > CALLER_HOPS_MAX)
                return "there are more than 16 trusted proxies in a row";
            if (!read_forwarded(io, text + from, to - from))
                return "what a trusted proxy wrote is no address";
            if (!caller_blocks_hold(trusted, io))
                return NULL;
        }
    }
    return NULL;
}

caller_address caller_network(const caller_address *address) {
    caller_address out = *address;
    if (!is_mapped(address))
        memset(out.bytes + NETWORK_BYTES, 0, sizeof out.bytes - NETWORK_BYTES);
    return out;
}

bool caller_is_loopback(const caller_address *address) {
    static const caller_address ipv6 = { { [15] = 1 } };
    return is_mapped(address) ? address->bytes[12] == 127
                              : memcmp(address->bytes, ipv6.bytes, sizeof ipv6.bytes) == 0;
}

void caller_text(char out[INET6_ADDRSTRLEN], const caller_address *address) {
    out[0] = '\0';
    if (is_mapped(address))
        (void)inet_ntop(AF_INET, address->bytes + sizeof mapped_prefix, out, INET6_ADDRSTRLEN);
    else
        (void)inet_ntop(AF_INET6, address->bytes, out, INET6_ADDRSTRLEN);
}
