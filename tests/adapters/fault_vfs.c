/*
 * fault_vfs.c - see fault_vfs.h. Every method passes through; those that do I/O ask `strike` first.
 */
#include "adapters/fault_vfs.h"

#include <sqlite3.h>
#include <string.h>

typedef struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
} fault_file;

static struct {
    uint32_t mask;
    int64_t left;
    int code;
    bool stuck, fired;
} plan;

static sqlite3_vfs *real_vfs;

void fault_vfs_arm(uint32_t mask, int64_t nth, int code, bool stuck) {
    plan.mask = mask;
    plan.left = nth;
    plan.code = code;
    plan.stuck = stuck;
    plan.fired = false;
}

void fault_vfs_disarm(void) { plan.mask = 0; }

bool fault_vfs_fired(void) { return plan.fired; }

/* The code that this call fails with, or SQLITE_OK. `io_error`: the extended code for
 * SQLITE_IOERR. */
static int strike(uint32_t kind, int io_error) {
    if ((plan.mask & kind) == 0) {
        return SQLITE_OK;
    }
    if (plan.left > 0) {
        plan.left--;
    }
    if (plan.left > 0 || (plan.fired && !plan.stuck)) {
        return SQLITE_OK;
    }
    plan.fired = true;
    return plan.code == SQLITE_IOERR ? io_error : plan.code;
}

static sqlite3_file *real_of(sqlite3_file *file) { return ((fault_file *)file)->real; }

static int file_close(sqlite3_file *file) { return real_of(file)->pMethods->xClose(real_of(file)); }

static int file_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset) {
    int code = strike(FAULT_READ, SQLITE_IOERR_READ);
    if (code != SQLITE_OK) {
        return code;
    }
    return real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset) {
    int code = strike(FAULT_WRITE, SQLITE_IOERR_WRITE);
    int done = code != SQLITE_OK ? size / 2 : size;
    int written = real_of(file)->pMethods->xWrite(real_of(file), data, done, offset);
    return code != SQLITE_OK ? code : written;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int code = strike(FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags) {
    (void)file;
    (void)flags;
    return strike(FAULT_SYNC, SQLITE_IOERR_FSYNC);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *out) {
    int code = strike(FAULT_SIZE, SQLITE_IOERR_FSTAT);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xFileSize(real_of(file), out);
}

static int file_lock(sqlite3_file *file, int level) {
    int code = strike(FAULT_LOCK, SQLITE_IOERR_LOCK);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *out) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int file_sector_size(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_characteristics(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) {
    int code = strike(FAULT_MAP, SQLITE_IOERR_SHMMAP);
    if (code != SQLITE_OK) {
        return code;
    }
    return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, out);
}

static int shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    int wanted = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
    int code = (flags & wanted) == wanted ? strike(FAULT_LOCK, SQLITE_IOERR_SHMLOCK) : SQLITE_OK;
    if (code != SQLITE_OK) {
        return code;
    }
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shm_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }

static int shm_unmap(sqlite3_file *file, int delete) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), delete);
}

/* Version 2: with shared memory for the log, without memory-mapped files. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *out_flags) {
    fault_file *self = (fault_file *)file;
    (void)vfs;
    self->base.pMethods = NULL;
    self->real = (sqlite3_file *)(self + 1);
    int code = strike(FAULT_OPEN, SQLITE_CANTOPEN);
    if (code == SQLITE_OK) {
        code = real_vfs->xOpen(real_vfs, name, self->real, flags, out_flags);
    }
    if (code == SQLITE_OK) {
        self->base.pMethods = &methods;
    }
    return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
    (void)vfs;
    int code = strike(FAULT_DELETE, SQLITE_IOERR_DELETE);
    return code != SQLITE_OK ? code : real_vfs->xDelete(real_vfs, name, sync);
}

void fault_vfs_register(void) {
    static sqlite3_vfs vfs;
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.szOsFile = (int)sizeof(fault_file) + real_vfs->szOsFile;
    vfs.zName = "fault";
    vfs.pNext = NULL;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    sqlite3_vfs_register(&vfs, 0);
}
