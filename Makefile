# The commands of this repository. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench lint bed bed-down install

PROFILE ?= default
PREFIX ?= $(HOME)/.local

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## build an example for two platforms on a real daemon, publish it, verify it
	testdata/demo

test: ## bring up the test bed and run every test, nothing skipped
	testdata/tool cargo-nextest
	testdata/bed/up
	cargo test --doc --workspace --locked
	POLYARCH_BED_REQUIRED=1 testdata/bed/with cargo nextest run --workspace --locked --profile $(PROFILE)

bench: ## compare speed and memory with buildx on the test bed
	test -x testdata/bench/run || { echo "no benchmark yet: testdata/bench/run is missing" >&2; exit 1; }
	testdata/bed/up
	cargo build --release --locked
	testdata/bed/with testdata/bench/run

lint: ## formatting, clippy, documentation, dependencies, shell scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	testdata/tool cargo-deny shellcheck
	cargo deny --log-level error check bans licenses sources
	shellcheck -x $$(testdata/tool --scripts)

bed: ## start the test bed's daemons and registries
	testdata/bed/up

bed-down: ## stop them; data and downloads are kept
	testdata/bed/down

install: ## build polyarch and put it in $(PREFIX)/bin
	cargo build --release --locked
	install -D -m 755 target/release/polyarch "$(PREFIX)/bin/polyarch"
