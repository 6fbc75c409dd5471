#!/usr/bin/env bash
# Builds gmemx for a free-threaded Python and runs the thread tests there without the GIL.
#   ci/free_threading.sh PYTHON [TEST...]
# The modules do not declare free threading, so PYTHON_GIL=0 is what keeps the GIL off.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:?a free-threaded Python, such as python3.13t}
shift
"$python" -c 'import sysconfig, sys; sys.exit(not sysconfig.get_config_var("Py_GIL_DISABLED"))' || {
    echo "$python has a GIL: wanted is a free-threaded build" >&2
    exit 1
}
[ $# -gt 0 ] || set -- tests/test_threads.py tests/test_array_threads.py \
    tests/test_tensor_threads.py tests/test_pool_threads.py tests/test_plugin_threads.py
venv=build/free-threading
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --only-binary numpy . --group test
PYTHON_GIL=0 "$venv/bin/pytest" "$@"
