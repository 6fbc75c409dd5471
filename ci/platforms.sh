#!/usr/bin/env bash
# Type-checks the Rust core, with the standard library, for systems that are not at hand.
#   ci/platforms.sh [TARGET...]
# TOOLCHAIN names a nightly toolchain of rustup that has rust-src; by default nightly. For Windows the
# dlltool of mingw-w64 is needed too.
set -euo pipefail
cd "$(dirname "$0")/../rustlib"

[ $# -gt 0 ] || set -- aarch64-unknown-linux-gnu x86_64-unknown-linux-musl \
    aarch64-apple-darwin x86_64-apple-darwin x86_64-pc-windows-gnu
for target in "$@"; do
    cargo "+${TOOLCHAIN:-nightly}" check --locked --lib --target-dir target/platforms \
        -Z build-std=std,panic_unwind --target "$target"
done
