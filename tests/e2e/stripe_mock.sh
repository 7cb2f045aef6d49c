#!/usr/bin/env bash
# Every request of the Stripe adapter against Stripe's official mock, which checks it by Stripe's own OpenAPI document;
# and that the mock's certificate, which nobody signed, is refused.
#
#   tests/e2e/stripe_mock.sh BUILD
#
# The mock is a Go module, fetched once through Go's own tools; CAREFORALL_STRIPE_MOCK names a program that is there.
set -euo pipefail

module=github.com/stripe/stripe-mock@v0.203.0
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?the build directory}" && pwd)
scratch=$(mktemp -d)
mock_process=

finish() {
    if [[ -n $mock_process ]]; then
        kill "$mock_process" 2>/dev/null || true
        wait "$mock_process" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT

mock=${CAREFORALL_STRIPE_MOCK:-$root/build/tools/stripe-mock}
if [[ ! -x $mock ]] && ! GOBIN=$(dirname "$mock") go install "$module"; then
    echo "stripe_mock: $module cannot be fetched" >&2
    exit 77
fi

cmake --build "$build" --target stripe_mock_client >/dev/null

# Port 0 lets the system choose; the mock says which it was.
"$mock" -http-addr 127.0.0.1:0 -https-addr 127.0.0.1:0 >"$scratch/log" 2>&1 &
mock_process=$!
for _ in {1..1200}; do # only what is broken waits so long
    if [[ $(grep -c '^Listening for' "$scratch/log") == 2 ]]; then
        break
    fi
    kill -0 "$mock_process"
    read -rt 0.1 <> <(:) || true
done
address_of() { # HTTP or HTTPS
    sed -n "s/^Listening for $1 at address: //p" "$scratch/log"
}

"$build/tests/e2e/stripe_mock_client" "http://$(address_of HTTP)" "https://$(address_of HTTPS)"
