# What anyone needs to build, try and check ztun. Every target does its own set-up; `make test` is what CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

SWIFT ?= swift
SOURCES := Package.swift Sources Tests Benchmarks/core Fuzz
PROGRAMS := ztund ztun-waypoint ztun
RELEASE := .build/release
# Unit tests of what threads share: under the thread sanitizer in every run, all the others in make check.
SHARED := EventLoopTests TelemetryTests HBONETests AdminServerTests NodeProxyTests
VENV := .build/venv
PYTEST := $(VENV)/bin/python -m pytest -q -p no:cacheprovider
BESIDE := $(VENV)/bin/python -m pytest -q -o cache_dir=$(CURDIR)/.build/pytest
export ZTUN_BIN ?= $(CURDIR)/$(RELEASE)

.PHONY: help setup build demo test check soak bench bench-core gate baseline format lint clean fuzz sanitize

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: system packages (apt-get) and a Python environment in .build/venv
	@scripts/setup.sh

build: setup ## release programs with the Swift standard library inside, in .build/release
	@for program in $(PROGRAMS); do $(SWIFT) build -c release --static-swift-stdlib --product $$program; done

demo: build ## two nodes, seven pods, one waypoint on this machine, explained step by step (needs root)
	@scripts/demo.sh

lint: ## formatting and style of the Swift sources
	@$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

format: ## rewrite the Swift sources in the house style
	@$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

test: setup lint build ## everything a change must pass, in under half an hour; the last line is the summary
	@scripts/sanitize.sh address
	@scripts/sanitize.sh thread $(SHARED)
	@$(MAKE) --no-print-directory gate
	@$(BESIDE) Tests -m 'not slow' -n 3 --dist loadfile || { echo "test: what failed beside others is run once more, alone"; \
	$(BESIDE) Tests -m 'not slow' --last-failed --last-failed-no-failures none; }

check: setup build sanitize fuzz ## the slower tests: sanitizers, fuzzing, bulk checksums, long runs, leak hunts
	@$(PYTEST) Tests -m slow

soak: build ## mixed load, disturbances and hostile peers for SOAK_MINUTES (20), with a table at the end (needs root)
	@$(VENV)/bin/python scripts/soak.py

fuzz: setup ## every entry of Fuzz/ fed by libFuzzer for a minute; FUZZ="server state" and ZTUN_FUZZ_SECONDS=600 choose
	@scripts/fuzz.sh $(FUZZ)

sanitize: setup ## all unit tests under the address and the thread sanitizer
	@scripts/sanitize.sh address
	@scripts/sanitize.sh thread

bench: build ## ours beside Envoy on this machine (BENCH=long, tiny, or a line for Benchmarks/peer/bench.sh; needs root)
	@ZTUN_BENCH_PYTHON=$(CURDIR)/$(VENV)/bin/python Benchmarks/peer/run.sh $(BENCH)

bench-debian13: build ## the same with our programs in a Debian 13 root, for libssl 3.5 (needs root)
	@ZTUN_BIN=$$(scripts/debian13-root.sh $(CURDIR)/$(RELEASE)); export ZTUN_BIN; \
	ZTUN_BENCH_PYTHON=$(CURDIR)/$(VENV)/bin/python Benchmarks/peer/run.sh $(BENCH)

bench-scale: build .build/release/ztun-bench ## 1,000 pods, 100,000 workloads, 10,000 idle tunnels: time and memory (needs root)
	@$(VENV)/bin/python Benchmarks/scale/run.py $(SCALE)

bench-core: .build/release/ztun-bench ## nanoseconds per decision, parser and snapshot update, each held to a limit
	@$(RELEASE)/ztun-bench time

gate: .build/release/ztun-bench ## instructions and allocations per operation against Benchmarks/core/baseline.json
	@Benchmarks/core/gate.py

baseline: .build/release/ztun-bench ## accept what the operations cost now: rewrites Benchmarks/core/baseline.json
	@Benchmarks/core/gate.py --update

.PHONY: .build/release/ztun-bench
.build/release/ztun-bench: setup
	@$(SWIFT) build -c release --static-swift-stdlib --product ztun-bench

clean: ## remove everything that was built
	@rm -rf .build
