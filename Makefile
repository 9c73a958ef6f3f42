# The commands of this project. `make run` and `make test` work on a machine that has only Rust and git.

FEATURES := openblas,linalg
CARGO := cargo
CONVGEMM := $(CARGO) run --quiet --release -p convgemm-cli --features $(FEATURES) --
PICTURE := assets/grace_hopper.jpg
DEMO := target/demo

.PHONY: run test test-peers valgrind bench exercises peers compare setup lint docs

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

# Builds the engines in Rust and the small ones in Python, and holds each of them against the oracle.
test-peers: setup
	scripts/test-peers.sh

# A sample of the tests under valgrind, which is installed where it is missing.
valgrind:
	scripts/valgrind.sh

bench: setup
	$(CARGO) bench -p convgemm --features $(FEATURES)

exercises: setup
	@mkdir -p $(DEMO)
	$(CONVGEMM) exercises --html $(DEMO)/exercises.html
	@echo "the page is $(DEMO)/exercises.html"

# The engines that `compare` measures beside this one: programs of their own in Rust, and a virtual environment of
# those in Python (5 GB).
peers:
	scripts/make-peers.sh

# ResNet-50 at batch 1 and 8, forward and both gradients, beside every engine that `make peers` has built.
compare: setup
	@mkdir -p target/results
	$(CONVGEMM) compare --suite resnet50 --engines all --batch 1,8 --op all --rounds 5 --limit 300 \
		-o target/results/resnet50.json

lint:
	$(CARGO) fmt --all --check
	cd peers/rust && $(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --features $(FEATURES),serde -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --features $(FEATURES),serde

setup:
	@scripts/install-openblas.sh
