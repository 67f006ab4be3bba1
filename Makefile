# The front door. `make help` lists the verbs; everything else is CMake + Ninja underneath (CMakePresets.json).
SHELL := /bin/bash
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_SLOPPINESS := pch_defines,time_macros
export CCACHE_DIR ?= $(CURDIR)/.cache/ccache

.PHONY: help demo test test-asan test-tsan build lint fmt sim chaos fuzz bench interop package clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

build: ## install what is missing, build build/release/daypass
	@tools/deps build
	@tools/build release daypass

demo: ## install, build, and run the main job on embedded defaults
	@tools/deps demo
	@tools/build release daypass
	@build/release/daypass demo

test: ## install, build, and pass all tests
	@tools/deps test
	@tools/cedar-oracle/install
	@tools/tidy
	@tools/build test
	@tools/run-tests test

test-asan: ## the tests under address and undefined behaviour sanitizers
	@tools/deps test
	@tools/build asan
	@ASAN_OPTIONS=detect_stack_use_after_return=1 tools/run-tests asan

test-tsan: ## the tests under the thread sanitizer
	@tools/deps test
	@tools/build tsan
	@TSAN_OPTIONS=second_deadlock_stack=1 tools/run-tests tsan

lint: ## include order, registered tests, formatting, headers that compile alone, clang-tidy
	@tools/deps lint
	@tools/tidy
	@tools/lint

fmt: ## format the sources
	@tools/deps lint
	@git ls-files 'src/*.cc' 'src/*.h' 'test/*.cc' 'test/*.h' | xargs clang-format-19 -i

sim: ## the simulator: make sim BUDGET=600 [SEED=n]
	@tools/deps test
	@tools/build test daypass-sim
	@build/test/test/daypass-sim --seconds $(or $(BUDGET),60) --threads $(JOBS) $(if $(SEED),--seed $(SEED))

chaos: ## kills and faults on the real thing: make chaos [BUDGET=600 | ROUNDS=200] [ARGS="--only clocks"]
	@tools/deps test
	@tools/build release daypass
	@tools/build test daypass-syskill daypass-powercuts
	@tools/chaos $(if $(BUDGET),--budget $(BUDGET)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

fuzz: ## every fuzzer for BUDGET seconds each, with its line coverage: make fuzz BUDGET=300 [ONLY=name]
	@tools/deps fuzz
	@tools/build fuzz fuzzers
	@tools/fuzz $(or $(BUDGET),30) $(ONLY)

bench: ## the figures, against peers in the same run
	@tools/deps bench
	@tools/cedar-oracle/install
	@tools/build release daypass
	@tools/build bench
	@tools/bench

interop: ## the target driver against PostgreSQL 13 to 18, the server with each identity provider, Go's verifier of logs
	@tools/deps interop
	@tools/build test conformance_test app_cli_test daypass
	@tools/interop

package: ## a Debian package in build/package
	@tools/deps build
	@tools/build release daypass
	@tools/package

clean: ## throw the build away
	@rm -rf build
