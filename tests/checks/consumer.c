/* consumer.c - the smallest host: a book in a file, opened and closed. Built from an installed tree. */
#include <careforall/adapters/sqlite.h>
#include <careforall/careforall.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    cfa_engine *engine = NULL;
    const char *path = argc > 1 ? argv[1] : "consumer.db";
    if (cfa_sqlite_open(&engine, path, NULL) != CFA_OK) {
        return 1;
    }
    printf("careforall %s\n", cfa_version());
    cfa_engine_close(engine);
    return 0;
}
