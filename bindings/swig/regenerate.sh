#!/bin/sh
# regenerate.sh - write the generated files of the Go binding, which are committed so that its users need no SWIG.
# With --check nothing is written: it fails when the committed files differ from what SWIG makes now.
set -eu
pinned=4.1.0
cd "$(dirname "$0")"

version=$(swig -version | sed -n 's/^SWIG Version //p')
if [ "$version" != "$pinned" ]; then
    echo "regenerate: SWIG $pinned makes these files, this is ${version:-none}" >&2
    [ "${1:-}" = --check ] && exit 77   # skipped: another SWIG writes other bytes
    exit 1
fi

target=../go/internal/native
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
swig -go -cgo -intgosize 64 -Wall -Werror -I../../include -outdir "$made" -o "$made/native_wrap.c" careforall.i

for file in native.go native_wrap.c; do
    if [ "${1:-}" != --check ]; then
        cp "$made/$file" "$target/$file"
    elif ! diff -u "$target/$file" "$made/$file"; then
        echo "regenerate: $file is stale; run bindings/swig/regenerate.sh" >&2
        exit 1
    fi
done
