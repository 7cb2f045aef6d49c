#!/usr/bin/env bash
# The generated pages in the tree are what the library's tables say now.
# Usage: docs_drift.sh GENERATOR DOCS
set -euo pipefail

if [[ $# -ne 2 ]]; then
    echo "usage: docs_drift.sh GENERATOR DOCS" >&2
    exit 2
fi
generator=$1 docs=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$generator" "$scratch"
drifted=0
for page in "$scratch"/*.md; do
    diff -u "$docs/${page##*/}" "$page" || drifted=1
done
if ((drifted)); then
    echo "docs_drift: the pages differ from the code; run: generate_docs docs" >&2
    exit 1
fi
echo "docs_drift: all pages are as generated"
