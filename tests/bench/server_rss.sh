#!/bin/sh
# server_rss.sh - the memory that an idle careforall-server holds, on a fresh book, after one request.
#
#   server_rss.sh CAREFORALL_SERVER
set -eu

server=$1
goal_kib=20480
scratch=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || :; wait "$pid" 2>/dev/null || :; fi; rm -rf "$scratch"' EXIT

umask 077
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$scratch/token"
"$server" serve --listen 127.0.0.1:0 --database "$scratch/book.db" --admin-token-file "$scratch/token" \
    >"$scratch/log" 2>&1 &
pid=$!

peak=0
for _ in 1 2 3 4 5; do
    sleep 1
    if ! kill -0 "$pid" 2>/dev/null; then
        echo "server_rss.sh: the server ended: $(tail -n 1 "$scratch/log")" >&2
        exit 2
    fi
    rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
    if [ "$rss" -gt "$peak" ]; then peak=$rss; fi
done
verdict=MISS
if [ "$peak" -le "$goal_kib" ]; then verdict=pass; fi
awk -v peak="$peak" -v goal="$goal_kib" -v verdict="$verdict" 'BEGIN {
    printf "%-50s %-7s %9.4g %-5s %8s    %-8s <= %-6.4g %s\n", "server idle, resident memory", "native",
           peak / 1024, "MiB", "", "", goal / 1024, verdict }'
[ "$verdict" = pass ]
