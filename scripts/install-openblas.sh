#!/bin/sh
# Installs OpenBLAS (with its headers, and pkg-config to find it) where it is missing. Does nothing where it is there.
set -eu

if command -v pkg-config >/dev/null 2>&1 && pkg-config --exists openblas; then
    exit 0
fi

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

echo "OpenBLAS is missing: installing it" >&2
if command -v apt-get >/dev/null 2>&1; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libopenblas-dev pkg-config build-essential >/dev/null
elif command -v dnf >/dev/null 2>&1; then
    as_root dnf install -y -q openblas-devel pkgconf-pkg-config gcc
elif command -v pacman >/dev/null 2>&1; then
    as_root pacman -S --needed --noconfirm openblas lapack pkgconf gcc
elif command -v brew >/dev/null 2>&1; then
    brew install openblas pkg-config
else
    echo "no apt-get, dnf, pacman or brew here: install OpenBLAS by hand, then try again" >&2
    exit 1
fi
