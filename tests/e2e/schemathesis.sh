#!/usr/bin/env bash
# Let schemathesis read the server's description and try to prove it wrong.
#
#   schemathesis.sh [--long] [BUILD]      BUILD: the build folder, default build/dev
#
# Installs schemathesis into BUILD/schemathesis once. The short slice takes about half a minute.
set -euo pipefail

version=4.32.5
examples=25
seed=(--seed 20261122)
if [[ ${1:-} == --long ]]; then
    examples=1000
    seed=()
    shift
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/dev}" && pwd)
tool=$build/schemathesis
if [[ ! -x $tool/bin/schemathesis ]] || [[ $(<"$tool/version") != "$version" ]]; then
    if ! { python3 -m venv --clear "$tool" && "$tool/bin/pip" install --quiet "schemathesis==$version"; }; then
        echo "schemathesis: version $version cannot be installed" >&2
        exit 77
    fi
    echo "$version" >"$tool/version"
fi

scratch=$(mktemp -d)
server=
trap 'kill -TERM "$server" 2>/dev/null || true; wait 2>/dev/null; rm -rf "$scratch"' EXIT
token=0123456789abcdef0123456789abcdef-test
CAREFORALL_ADMIN_TOKEN=$token CAREFORALL_WEBHOOK_SECRET=whsec_of_this_test_alone \
    "${CAREFORALL_SERVER:-$build/examples/careforall-server}" serve --database "$scratch/book.db" --demo \
    --listen 127.0.0.1:0 >"$scratch/said" 2>"$scratch/log" &
server=$!
url=
for _ in {1..1200}; do # only what is broken waits so long
    url=$(sed -n 's/^listening on //p' "$scratch/said")
    [[ -z $url ]] || break
    kill -0 "$server"
    read -rt 0.1 <> <(:) || true
done
[[ -n $url ]]

cd "$scratch" # it leaves a folder behind
status=0
"$tool/bin/schemathesis" --config-file "$root/tests/e2e/schemathesis.toml" run "$url/openapi.json" \
    --header "Authorization: Bearer $token" --max-examples "$examples" "${seed[@]}" --generation-database none --no-color ||
    status=$?

# Whatever was sent: the server lives, and nothing inside it broke.
kill -0 "$server"
if grep -E '"status":500|cfa_ebug|cfa_ecorrupt' "$scratch/log"; then
    echo 'schemathesis: the server answered 500' >&2
    status=1
fi
kill -TERM "$server"
wait "$server"
server=
exit "$status"
