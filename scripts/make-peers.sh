#!/bin/sh
# Builds the engines that `convgemm compare` measures beside this one.
#   make-peers.sh                          all
#   make-peers.sh --rust                   those in Rust
#   make-peers.sh --python                 those in Python
#   make-peers.sh numpy onnxruntime ncnn   of Python's packages only these
# Ends with 3 if the packages of Python cannot be reached.
set -eu
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

make_rust() {
    scripts/install-openblas.sh
    cd peers/rust
    # Whatever fails costs one engine: the others are built all the same.
    cargo build --release --locked --keep-going --target-dir target || rust_failed=yes
    cd ../..
}

make_python() {
    cd peers/python
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        echo "Python's venv is missing: installing it" >&2
        if command -v apt-get >/dev/null 2>&1; then
            as_root apt-get update -qq
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
        else
            echo "install Python 3 with its venv module by hand, then try again" >&2
            exit 1
        fi
    fi
    [ -x .venv/bin/python ] || python3 -m venv .venv
    if [ "$#" -eq 0 ]; then set -- --requirement requirements.txt; else set -- --constraint requirements.lock "$@"; fi
    if ! .venv/bin/pip install --quiet "$@"; then
        .venv/bin/pip index versions numpy >/dev/null 2>&1 && exit 1
        echo "Python's packages cannot be reached from here" >&2
        exit 3
    fi
    .venv/bin/python -c 'import numpy; print("peers/python/.venv is ready, with numpy", numpy.__version__)'
    cd ../..
}

rust_failed=
case "${1:-}" in
"") make_rust; make_python ;;
--rust) make_rust ;;
--python) make_python ;;
-*) echo "'$1' is no option; --rust and --python are" >&2; exit 1 ;;
*) make_python "$@" ;;
esac
if [ -n "$rust_failed" ]; then
    echo "not all engines in Rust could be built" >&2
    exit 1
fi
