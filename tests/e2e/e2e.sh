#!/usr/bin/env bash
# Run the end-to-end tests against the programs of a build folder: tests/e2e/e2e.sh build/dev [pytest arguments]
# Stripe's package and Selenium come from a virtual environment in that folder; without a registry what needs them is
# skipped, and said to be.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/dev}" && pwd)
shift || true
export CAREFORALL_SERVER=$build/examples/careforall-server PYTHONDONTWRITEBYTECODE=1
wanted=(stripe==16.1.0 selenium==4.51.0 pytest==9.2.0)
venv=$build/e2e-venv
python=$venv/bin/python
if [[ ! -x $python ]] || [[ $(cat "$venv/wanted" 2>/dev/null) != "${wanted[*]}" ]]; then
    if python3 -m venv --clear "$venv" && "$python" -m pip install -q "${wanted[@]}"; then
        echo "${wanted[*]}" >"$venv/wanted"
    else
        echo "e2e: not to be had: ${wanted[*]}; what needs them is skipped" >&2
        python=python3
    fi
fi
exec "$python" -m pytest -q -ra -p no:cacheprovider "$root/tests/e2e" "$@"
