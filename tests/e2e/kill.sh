#!/usr/bin/env bash
# kill -9 of server and sandbox at random moments under load, 200 times: the books of both sides must agree.
#
#   tests/e2e/kill.sh [BUILD] [options of kill.py]      BUILD: the build folder, default build/dev
#
# The normal run, all 200 cycles, takes about a minute; --cycles N is a shorter slice. Needs faketime, as soak.sh does.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/dev}
shift || true
"$root/cmake/install-packages" libfaketime
cmake --build "$build" --target donors careforall-server careforall-sandbox >/dev/null
exec python3 "$root/tests/e2e/kill.py" "$@" "$build"
