#!/bin/sh
# A sample of the tests under valgrind, which sees every read and write outside of what was allocated and every
# decision that depends on memory nobody has written: all algorithms on every tenth of the named edge cases, with outputs
# and workspaces of foreign content, and the tiles and tails of the microkernels.
#
# It knows no AVX-512 and hides it from the program, which then takes its kernels for AVX2. Takes five minutes after
# the tests are built. `NAMED_CASES=2/10` in the environment takes other cases, and filters of tests may be given in
# place of those below.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null 2>&1; then
    echo "valgrind is missing: installing it" >&2
    as_root() {
        if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
    }
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq valgrind >/dev/null
fi

# The files that cargo has built, as it tells in lines of JSON.
programs=$(cargo test --quiet --package convgemm --lib --test suite --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

if [ $# -eq 0 ]; then
    set -- buffers:: gemm:: lowering::
fi
for program in $programs; do
    # One test at a time: valgrind runs one thread at a time anyway.
    PROPTEST_CASES=8 NAMED_CASES="${NAMED_CASES:-1/10}" \
        valgrind --tool=memcheck --error-exitcode=1 --errors-for-leak-kinds=none --leak-check=no \
            --fair-sched=yes "$program" --test-threads 1 "$@"
done
