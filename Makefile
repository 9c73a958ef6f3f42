# The commands of this project. `make run` and `make test` work on a machine that has only Rust and git.

FEATURES := openblas,linalg
CARGO := cargo
CONVGEMM := $(CARGO) run --quiet --release -p convgemm-cli --features $(FEATURES) --
PICTURE := assets/grace_hopper.jpg
DEMO := target/demo

.PHONY: run test bench setup lint docs

run: setup
	@mkdir -p $(DEMO)
	$(CARGO) build --release -p convgemm-cli --features $(FEATURES)
	$(CONVGEMM) filter $(PICTURE) --gray --kernel '[[1,-1]]' --signed -o $(DEMO)/edges-vertical.png
	$(CONVGEMM) filter $(PICTURE) --gray --kernel '[[1],[-1]]' --signed -o $(DEMO)/edges-horizontal.png
	$(CONVGEMM) filter $(PICTURE) --gray --kernel sobel-x --absolute -o $(DEMO)/sobel-x.png
	$(CONVGEMM) filter $(PICTURE) --kernel laplacian --absolute -o $(DEMO)/laplacian.png
	$(CONVGEMM) filter $(PICTURE) --kernel gaussian:3 -o $(DEMO)/gaussian.png --compare
	@echo "pictures are in $(DEMO)"

test: setup
	$(CARGO) test --workspace
	$(CARGO) test --workspace --features $(FEATURES),serde

bench: setup
	$(CARGO) bench --features $(FEATURES)

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --features $(FEATURES),serde -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --features $(FEATURES),serde

setup:
	@scripts/install-openblas.sh
