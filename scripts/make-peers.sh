#!/bin/sh
# Makes the virtual environment of the engines that `convgemm compare` measures beside this one.
# With names of packages as arguments, only those of the list.
set -eu
cd "$(dirname "$0")/../peers/python"

if ! python3 -c 'import ensurepip' 2>/dev/null; then
    echo "Python's venv is missing: installing it" >&2
    if command -v apt-get >/dev/null 2>&1; then
        as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "install Python 3 with its venv module by hand, then try again" >&2
        exit 1
    fi
fi
[ -x .venv/bin/python ] || python3 -m venv .venv
if [ "$#" -eq 0 ]; then
    .venv/bin/pip install --quiet --requirement requirements.txt
else
    .venv/bin/pip install --quiet --constraint requirements.txt "$@"
fi
.venv/bin/python -c 'import numpy; print("peers/python/.venv is ready, with numpy", numpy.__version__)'
