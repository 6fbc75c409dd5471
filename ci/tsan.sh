#!/usr/bin/env bash
# Runs Rust tests under ThreadSanitizer, the standard library instrumented too.
#   ci/tsan.sh                     the library's own, those of plugins and of generative memory
#   ci/tsan.sh --test overlay ...  others
# TOOLCHAIN names a nightly toolchain of rustup that has rust-src; by default nightly.
set -euo pipefail
cd "$(dirname "$0")/../rustlib"

# The losses of power are simulated in one thread, hundreds of times: nothing to see, and slow.
[ $# -gt 0 ] || set -- --lib --test plugin --test plugin_everywhere --test overlay -- --skip power_loss
export RUSTFLAGS="-Zsanitizer=thread"
# A forked child of a process with threads is a test's point here; dying of a report is not.
export TSAN_OPTIONS="die_after_fork=0 halt_on_error=1 ${TSAN_OPTIONS:-}"
exec cargo "+${TOOLCHAIN:-nightly}" test --locked --target-dir target/tsan \
    -Z build-std --target "$(rustc -vV | sed -n 's/^host: //p')" "$@"
