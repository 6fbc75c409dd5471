#!/usr/bin/env bash
# Generates include/gmemx.h and gmemx/libgmemx.pxd from rustlib/src.
#   ci/bindings.sh           writes both
#   ci/bindings.sh --check   fails where the committed ones are stale, or an export is missing
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.29.4
cbindgen=.tools/bin/cbindgen
if [ "$("$cbindgen" --version 2>/dev/null)" != "cbindgen $version" ]; then
    cargo install cbindgen --version "$version" --locked --quiet --root .tools
fi

intro() { # $1: what starts a comment
    sed "s|^|$1 |; s| *\$||" <<'TEXT'
gmemx: memory of every kind behind one C ABI.

Generated from rustlib/src by ci/bindings.sh: do not edit.

How to read this file:
 - Types are opaque. What a `_new` function gives is freed once by its `_free`.
 - A function that can fail returns a gmem_status; GMEM_STATUS_OK is 0. The
   sentence that explains a failure is in gmem_last_error() of the same thread.
 - `out_*` arguments come last and are written on success only. A pointer and
   a length go together; the pointer of an empty pair may be NULL.
 - NULL where an object is wanted is GMEM_STATUS_NULL_ARGUMENT, never a crash.
   A function without a status says what it gives instead.
 - No call ends the process or throws through C; strings are UTF-8.
 - What is about pools, CUDA buffers and scanning is there on Linux only.
 - Every function may be called from any thread unless it says otherwise.
TEXT
}

generate() { # $1: c or cython, $2: what starts a comment, $3: target
    { intro "$2"; echo; (cd rustlib && "../$cbindgen" --quiet -c cbindgen.toml -l "$1" .); } |
        sed "s|$2 # Safety|$2 Safety:|" > "$3"
}

target=.
if [ "${1-}" = --check ]; then
    target=$(mktemp -d)
    trap 'rm -rf "$target"' EXIT
    mkdir "$target/include" "$target/gmemx"
fi
generate c "//" "$target/include/gmemx.h"
generate cython "#" "$target/gmemx/libgmemx.pxd"

# cbindgen skips an export that it does not understand without a word.
sed -n 's/.*extern "C" fn \(gmem_[a-z_0-9]*\).*/\1/p' rustlib/src/ffi/*.rs | sort -u |
    while read -r name; do
        grep -qw "$name" "$target/include/gmemx.h" || { echo "$name is missing in gmemx.h" >&2; exit 1; }
    done

if [ "${1-}" = --check ]; then
    for file in include/gmemx.h gmemx/libgmemx.pxd; do
        diff -u "$file" "$target/$file" || { echo "$file is stale: run ci/bindings.sh" >&2; exit 1; }
    done
fi
