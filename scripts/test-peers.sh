#!/bin/sh
# Small cases through every engine that is quick to build, and through the others where they are built already; and
# the lints and tests of the workers in Rust.
set -eu
cd "$(dirname "$0")/.."

required=candle,tract,burn,rten,ndarray-conv,openblas-gemm
scripts/make-peers.sh --rust
status=0
scripts/make-peers.sh numpy onnx onnxruntime ncnn || status=$?
case "$status" in
0) required="$required,onnxruntime,ncnn" ;;
3) echo "skipped: onnxruntime and ncnn, which cannot be installed from here" ;;
*) exit "$status" ;;
esac

(
    cd peers/rust
    cargo clippy --workspace --all-targets --locked --target-dir target -- -D warnings
    cargo test --release --locked --package peer --target-dir target
)
CONVGEMM_PEERS_REQUIRED="$required" cargo test --package convgemm-cli --test compare every_built_worker -- --nocapture
