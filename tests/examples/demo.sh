#!/usr/bin/env bash
# examples/run as a newcomer uses it: the demonstration, and serving until Ctrl-C.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
server=
trap 'kill -TERM "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

"$root/examples/run" --demo "$scratch/demo"

# Again on the same database, serving: what it prints must work as printed, and Ctrl-C must end it well.
mkfifo "$scratch/said"
set -m # interrupts are not ignored in a job of its own
"$root/examples/run" "$scratch/demo" >"$scratch/said" &
server=$!
set +m
lines=
while read -r line; do
    echo "$line"
    lines+=$line$'\n'
    [[ $line != *'/totals | jq' ]] || break
done <"$scratch/said"
commands=$(grep -v '^[A-Z(]' <<<"$lines" | sed -n '/curl/,$p')
raised=$(bash -euo pipefail -c "$commands" | jq -s '.[0].client_secret != null and (last.currencies | length) > 0')
[[ $raised == true ]]

kill -INT "$server"
wait "$server"
server=
echo 'demo: what examples/run prints works, and it stops when asked'
