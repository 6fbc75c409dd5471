#!/usr/bin/env bash
# Every crate of the repository in the style of rustfmt.
#   ci/rustfmt.sh           changes what is not
#   ci/rustfmt.sh --check   fails instead
set -euo pipefail
cd "$(dirname "$0")/.."
for manifest in rustlib rustlib/models rustlib/plugin-kit examples/plugins/calculator; do
    cargo fmt --manifest-path "$manifest/Cargo.toml" "$@"
done
