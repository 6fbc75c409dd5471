# make tour   everything gmemx does, on real data     make test   every test
# make lint   what CI checks besides                  make bench  the tables of benchmarks/
# make types  stubs and examples, by mypy             make docs   the site, in build/site/html
# make dev    an editable install                     make clean  back to a fresh checkout
# make wheels a wheel for each Python here, each tested (TESTS=smoke: only what builds on it)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find rustlib/src gmemx include examples/plugins/mandelbrot -type f \
	\( -name '*.rs' -o -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.[ch]' \)) \
	setup.py pyproject.toml rustlib/Cargo.toml rustlib/Cargo.lock

.PHONY: tour test test-rust installed test-python lint types docs bench bench-record wheels dev bindings clean cargo

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
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

lint: cargo $(VENV)/.lint
	ci/rustfmt.sh --check
	cargo clippy --profile fast --locked --manifest-path rustlib/Cargo.toml --all-targets -- -D warnings
	cargo clippy --release --locked --manifest-path rustlib/models/Cargo.toml \
		--target-dir rustlib/target/models --all-targets -- -D warnings
	cargo clippy --locked --manifest-path rustlib/plugin-kit/Cargo.toml \
		--target-dir rustlib/target/plugins --all-targets -- -D warnings
	cargo clippy --locked --manifest-path examples/plugins/calculator/Cargo.toml \
		--target-dir rustlib/target/plugins --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python ci/text.py
	ci/bindings.sh --check
	$(BIN)/python ci/abi.py

# The declared types of the installed package; elsewhere than here, where nothing is compiled.
types: $(VENV)/.installed $(VENV)/.lint $(VENV)/.test
	$(BIN)/python ci/check_types.py

docs: $(VENV)/.installed $(VENV)/.docs
	$(BIN)/python docs/site/stage.py build/site/source
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs auto \
		build/site/source build/site/html
	$(BIN)/python ci/offline.py build/site/html

# All of them, then the rows that have become worse since `make bench-record`.
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/compare.py
	cargo bench --locked --manifest-path rustlib/Cargo.toml

bench-record: $(VENV)/.installed
	$(BIN)/python benchmarks/compare.py --record

# The source distribution, and from it a wheel for each CPython here, in wheelhouse/.
wheels: cargo
	$(PYTHON) ci/wheels.py --tests $(or $(TESTS),all)

dev: cargo $(VENV)/.venv $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[cli,dask,plot]'

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
	$(BIN)/pip install --quiet '.[cli,dask,plot]'
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.venv
	$(BIN)/pip install --quiet --group test --group peers --group readers
	@touch $@

$(VENV)/.lint: pyproject.toml $(VENV)/.venv
	$(BIN)/pip install --quiet --group lint
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.venv
	$(BIN)/pip install --quiet --group docs
	@touch $@
