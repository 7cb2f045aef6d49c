#!/usr/bin/env bash
# examples/run as a newcomer uses it: the demonstration, and serving until Ctrl-C, with each provider.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
server=
trap 'kill -TERM "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

try() { # provider
    local line lines='' commands paid
    "$root/examples/run" --demo --provider "$1" "$scratch/demo"

    # Again on the same books, serving: what it prints must work as printed, and Ctrl-C must end it well.
    rm -f "$scratch/said"
    mkfifo "$scratch/said"
    set -m # interrupts are not ignored in a job of its own
    "$root/examples/run" --provider "$1" "$scratch/demo" >"$scratch/said" &
    server=$!
    set +m
    while read -r line; do
        echo "$line"
        lines+=$line$'\n'
        [[ $line != *'/totals | jq' ]] || break
    done <"$scratch/said"
    commands=$(grep -v '^[A-Z(]\|^http' <<<"$lines" | sed -n '/curl/,$p')
    paid=$(bash -euo pipefail -c "$commands" | grep -v '^See the other page' |
        jq -s '(.[0] | .client_secret // .redirect_url) != null and (last.currencies | length) > 0')
    [[ $paid == true ]]
    kill -INT "$server"
    wait "$server"
    server=
}

try stripe
try play
echo 'demo: what examples/run prints works, and it stops when asked'
