# make tour   everything gmemx does, on real data     make test   every test
# make lint   what CI checks besides                  make bench  the tables of benchmarks/
# make dev    an editable install                     make clean  back to a fresh checkout
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find rustlib/src gmemx include examples/plugins/mandelbrot -type f \
	\( -name '*.rs' -o -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.[ch]' \)) \
	setup.py pyproject.toml rustlib/Cargo.toml rustlib/Cargo.lock

.PHONY: tour test test-rust installed test-python lint bench dev bindings clean cargo

tour: $(VENV)/.installed
	$(BIN)/gmemx tour

# What ships is linked on one core, so the Rust tests run beside it.
test: cargo
	$(MAKE) --jobs=2 test-rust installed
	$(MAKE) test-python

test-rust: cargo
	cargo test --profile fast --locked --manifest-path rustlib/Cargo.toml
	cargo test --release --locked --manifest-path rustlib/models/Cargo.toml \
		--target-dir rustlib/target/models
	cargo test --locked --manifest-path rustlib/plugin-kit/Cargo.toml \
		--target-dir rustlib/target/plugins

# One after the other: both put packages into one environment.
installed: cargo
	$(MAKE) $(VENV)/.installed
	$(MAKE) $(VENV)/.test

test-python: $(VENV)/.installed $(VENV)/.test
	$(BIN)/pytest

lint: cargo $(VENV)/.lint
	cargo fmt --manifest-path rustlib/Cargo.toml --check
	cargo fmt --manifest-path rustlib/models/Cargo.toml --check
	cargo fmt --manifest-path rustlib/plugin-kit/Cargo.toml --check
	cargo fmt --manifest-path examples/plugins/calculator/Cargo.toml --check
	cargo clippy --profile fast --locked --manifest-path rustlib/Cargo.toml --all-targets -- -D warnings
	cargo clippy --release --locked --manifest-path rustlib/models/Cargo.toml \
		--target-dir rustlib/target/models --all-targets -- -D warnings
	cargo clippy --locked --manifest-path rustlib/plugin-kit/Cargo.toml \
		--target-dir rustlib/target/plugins --all-targets -- -D warnings
	cargo clippy --locked --manifest-path examples/plugins/calculator/Cargo.toml \
		--target-dir rustlib/target/plugins --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	ci/bindings.sh --check

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/generative.py
	$(BIN)/python benchmarks/virtual_array.py
	$(BIN)/python benchmarks/tensor.py
	$(BIN)/python benchmarks/pool.py
	$(BIN)/python benchmarks/scan.py
	$(BIN)/python benchmarks/plugin.py
	cargo bench --locked --manifest-path rustlib/Cargo.toml

dev: cargo $(VENV)/.venv $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[cli,plot]'

bindings: cargo
	ci/bindings.sh

clean:
	rm -rf build dist wheelhouse tour *.egg-info $(VENV) rustlib/target .tools
	find gmemx -name '*.so' -delete

cargo:
	@command -v cargo >/dev/null || { \
		echo "gmemx is built with Rust, but cargo was not found: install the toolchain from https://rustup.rs and try again." >&2; exit 1; }

# The stamps below let a second run start at once when nothing has changed.
$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.installed: $(SOURCES) $(VENV)/.venv | cargo
	$(BIN)/pip install --quiet '.[cli,plot]'
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.venv
	$(BIN)/pip install --quiet --group test --group peers
	@touch $@

$(VENV)/.lint: pyproject.toml $(VENV)/.venv
	$(BIN)/pip install --quiet --group lint
	@touch $@
