#!/usr/bin/env bash
# Donations in great number over real wires, with every fault of the sandbox: the books of both sides must agree.
#
#   tests/e2e/soak.sh [BUILD] [options of soak.py]      BUILD: the build folder, default build/dev
#
# The normal run, 20,000 donations, takes two to three minutes; --donations N makes it longer. Needs faketime, to move the clock of both programs.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/dev}
shift || true
"$root/cmake/install-packages" libfaketime
cmake --build "$build" --target donors careforall-server careforall-sandbox >/dev/null
python3 "$root/tests/e2e/soak_control.py" "$build" # what is judged by it must be able to fail
exec python3 "$root/tests/e2e/soak.py" "$@" "$build"
