#include "bench/read/snapshot.h"

#include "bench/store/store.h"

bool snapshot_begin(store *s)
{
    bool none_is_open = sqlite3_get_autocommit(store_sqlite(s)) != 0;
    return none_is_open && sqlite3_exec(store_sqlite(s), "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
}

void snapshot_end(store *s, bool begun)
{
    if (begun) {
        sqlite3_exec(store_sqlite(s), "ROLLBACK", NULL, NULL, NULL);
    }
}
