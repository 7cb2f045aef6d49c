/*
 * command.h - a command: what a caller asks for, the pure function that decides it, and its answer.
 *
 * Owned by the engine. Inputs live in the command's arena and are read-only once it is enqueued;
 * whatever is random or temporal about a command (ids, keys) is drawn before that, so that deciding
 * it again gives the same.
 */
#ifndef CFA_CORE_COMMAND_H
#define CFA_CORE_COMMAND_H

#include <careforall/error.h>
#include "core/working_set.h"

typedef struct cfa__command cfa__command;

/*
 * Decide a command. Returns CFA_OK with `command->output` filled, CFA__MISS, or a negative status
 * with the error detail set; changes of a run that does not return CFA_OK are dropped. Must be pure
 * and repeatable: also after its own effects were committed and the commit's answer was lost.
 */
typedef cfa_status (*cfa__decide)(cfa__working_set *set, cfa__command *command);

struct cfa__command {
    cfa__decide decide;
    const void *input;
    void *output; /* zeroed before each run; pointers in it live until the command is released */
    size_t output_size;
    cfa_arena *arena;
    bool background;

    cfa_status status;
    cfa_error error;
    int64_t position; /* of the last event it emitted; else as `decide` left it */
};

#endif
