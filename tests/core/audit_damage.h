/*
 * audit_damage.h - kinds of damage to a book's file, each with what an audit must say first.
 */
#ifndef TESTS_CORE_AUDIT_DAMAGE_H
#define TESTS_CORE_AUDIT_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>

struct damage {
    const char *name;
    const char *sql;
    const char *check;   /* the finding that must come first */
    const char *subject; /* query of what it must be about: an id and what follows it, or a text */
    const char *prefix;  /* of the id, or of the text */
    bool afterwards;     /* ask when the damage is done */
};

const struct damage *damage_list(size_t *out_count);
/* The names of all checks. */
const char *const *damage_checks(size_t *out_count);

#endif
