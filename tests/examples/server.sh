#!/usr/bin/env bash
# Run the tests of the example server against the binary of a build folder: tests/examples/server.sh build/dev
# Those of the sandbox have a script of their own.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
CAREFORALL_SERVER=$(cd "${1:-$root/build/dev}" && pwd)/examples/careforall-server
export CAREFORALL_SERVER
exec python3 -m pytest -q -p no:cacheprovider --ignore-glob='*/test_sandbox*' "$root/tests/examples"
