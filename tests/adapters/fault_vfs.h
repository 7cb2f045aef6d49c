/*
 * fault_vfs.h - an SQLite VFS "fault" over the default one that fails the calls it is told to. Does
 * not sync, so that sweeps are quick: it is for tests of errors, not of power cuts. Used by one
 * thread.
 */
#ifndef TESTS_ADAPTERS_FAULT_VFS_H
#define TESTS_ADAPTERS_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FAULT_READ = 1,
    FAULT_WRITE = 2, /* half of the bytes are written before the failure */
    FAULT_SYNC = 4,
    FAULT_TRUNCATE = 8,
    FAULT_LOCK = 16, /* of the file, and exclusive ones of the shared memory; for a shared
                               one SQLite itself tries again for ten seconds */
    FAULT_MAP = 32,
    FAULT_OPEN = 64,
    FAULT_DELETE = 128,
    FAULT_SIZE = 256,
    FAULT_ALL = 511
};

void fault_vfs_register(void);
/* From now on the `nth` call of the kinds in `mask` fails with the result `code`; all later ones
 * too if `stuck`. */
void fault_vfs_arm(uint32_t mask, int64_t nth, int code, bool stuck);
void fault_vfs_disarm(void);
/* Whether a call failed since the last arm. */
bool fault_vfs_fired(void);

#endif
