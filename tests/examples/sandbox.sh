#!/usr/bin/env bash
# Run the tests of the sandbox against the binary of a build folder: tests/examples/sandbox.sh build/dev [pytest arguments]
# The official Stripe package comes from a virtual environment in that folder; without a registry its tests are skipped.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/dev}" && pwd)
shift || true
export CAREFORALL_SANDBOX=$build/examples/careforall-sandbox
export CAREFORALL_SERVER=$build/examples/careforall-server # named for conftest.py; not started here
python=$build/sandbox-venv/bin/python
if ! "$python" -c 'import pytest, stripe' 2>/dev/null; then
    { python3 -m venv "$build/sandbox-venv" && "$python" -m pip install -q stripe==16.1.0 pytest; } ||
        { echo 'sandbox: the stripe package cannot be installed; its tests are skipped'; python=python3; }
fi
exec "$python" -m pytest -q -p no:cacheprovider "$root"/tests/examples/test_sandbox*.py "$@"
