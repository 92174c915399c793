# Builds, tests and installs Ringway. `make` lists the tasks.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup build run test steps mutants models torture soak fuzz sanitize bench check install clean schema

PACKAGES := libyaml-dev libcurl4-openssl-dev libjq-dev libpcre2-dev libssl-dev pkg-config
# What a few tests use: pictures, a library and a program that read them; what makes system calls fail. Without them those tests say that they were skipped.
OPTIONAL := python3-pil python-matplotlib-data imagemagick strace
RUNTIME  := libyaml-0-2 libcurl4 libjq1 libpcre2-8-0 libssl3
PREFIX   ?= /usr/local
BUILT    ?= .build/release
BINARY   := $(BUILT)/ringway
STEPPER  := .build/release/stepper
# The Swift libraries go into the binary, so that it runs where there is no Swift.
RELEASE  := -c release --static-swift-stdlib
MESSAGES ?= 100000000
# Suites that others wrote, if they lie beside this folder.
CORPORA  ?= $(wildcard ../shared/corpora)
# Programs that do the same work in other ways, to be measured beside ours; copied before they are run.
PEERS_DIR ?= $(wildcard ../shared/peers)

help: ## list the tasks
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install the C libraries that are missing
	@missing=""; \
	for package in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	command="apt-get update && apt-get install -y$$missing"; \
	if [ "$$(id -u)" = 0 ]; then DEBIAN_FRONTEND=noninteractive bash -c "$$command"; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo DEBIAN_FRONTEND=noninteractive bash -c "$$command"; \
	elif [ -t 0 ] && command -v sudo >/dev/null; then sudo bash -c "$$command"; \
	else echo "These packages are missing. Install them as root, then try again:"; echo "  $$command"; exit 1; fi

build: setup ## build .build/release/ringway, and the library that Python stages load
	swift build $(RELEASE) --product ringway
	swift build $(RELEASE) --product ringway_python

run: build ## build, and run pipelines/frames.yaml
	$(BINARY) run pipelines/frames.yaml

test: setup ## run the tests
	@[ "$$(dpkg-query -W -f='$${Status}\n' $(OPTIONAL) 2>/dev/null | grep -c 'install ok installed')" = $(words $(OPTIONAL)) ] \
	  || { [ "$$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive timeout 180 apt-get install -y -qq --no-install-recommends $(OPTIONAL) >/dev/null 2>&1; } \
	  || echo "$(OPTIONAL): not all are installed, the tests that use them are skipped"
	swift build --build-tests
	swift build $(RELEASE) --product stepper
	@set -o pipefail; export RINGWAY_CORPORA="$(abspath $(CORPORA))" RINGWAY_STEPPER="$(abspath $(STEPPER))"; \
	swift test --skip-build 2>&1 | tee .build/test.log || { status=$$?; echo; echo "What failed:"; grep -A 12 '✘ .* recorded' .build/test.log | head -200; exit $$status; }

steps: setup ## kill a worker after every instruction of every kind of hand-over (minutes)
	swift build $(RELEASE) --product stepper
	$(STEPPER)

mutants: ## break each rule of the rings in turn; the tests must notice every one (a quarter of an hour; ONLY=TEXT: some of them)
	python3 Tests/Mutants/mutants.py $(if $(ONLY),--only "$(ONLY)")

models: setup ## run the models of the protocol with more kills, messages and slots
	swift build --build-tests
	RINGWAY_MODELS=full swift test --skip-build --filter ModelTests

torture: setup ## kill, stop and time out workers 10,000 times, and everything 100 times; another program judges what arrives
	swift build $(RELEASE) --product bench
	swift build $(RELEASE) --product ringway_python
	swift build --build-tests
	RINGWAY_TORTURE=full RINGWAY_BENCH_BINARY="$(abspath .build/release/bench)" swift test --skip-build --filter TortureTests

soak: setup ## move 100 million messages through three stages and watch memory, descriptors and rate (MESSAGES=N, NEAR_OVERFLOW=1)
	swift build $(RELEASE) --product bench
	.build/release/bench soak --messages $(MESSAGES) $(if $(NEAR_OVERFLOW),--near-overflow)

bench: setup ## measure rings, pipelines, start and costs beside their peers (BENCH_ONLY=ring,W1 BENCH_JSON=file ROUNDS=5 PEERS=all)
	swift build $(RELEASE) --product bench
	swift build $(RELEASE) --product ringway_python
	PEERS_DIR="$(abspath $(PEERS_DIR))" python3 Tests/Bench/bench.py

check: setup ## what a change must pass beyond the tests: no warnings, explicit imports, nothing generated is stale
	swift build --build-tests --scratch-path .build-check --explicit-target-dependency-import-check error -Xswiftc -warnings-as-errors
	@if grep -rnE '^\s*((public|package|internal) )?import Foundation\s*$$' Sources; then echo "Sources import Foundation, which costs 50 MB"; exit 1; fi
	swift run --scratch-path .build-check --skip-build ringway schema | diff -u schemas/pipeline.schema.json - || { echo "schemas/pipeline.schema.json is stale: run 'make schema'"; exit 1; }

schema: setup ## generate schemas/pipeline.schema.json
	swift build --product ringway
	mkdir -p schemas
	.build/debug/ringway schema > schemas/pipeline.schema.json

# Fuzzing. Tests/Fuzz is a package of its own; what it needs and finds stays in .build-fuzz. A target's inputs so far are
# what the next run begins with. Portions of minutes, so that a run can be broken off.
FUZZ_TARGETS ?= composer validator order recovery handoff
FUZZ_RUNS    ?= 1000000
FUZZ         := .build-fuzz
# libFuzzer without its main, in the compiler's own folder (Linux; Swift's toolchain brings clang along).
export FUZZER_RUNTIME := $(wildcard $(dir $(realpath $(shell command -v swift)))../lib/clang/*/lib/linux/libclang_rt.fuzzer_no_main-$(shell uname -m).a)
# Swift keeps bits of its own in pointers, so that leaks cannot be told from what is reachable: memory is bounded instead.
FUZZ_OPTIONS := SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8:malloc_context_size=3

fuzz: setup ## feed a million made-up inputs to each target of Tests/Fuzz (FUZZ_TARGETS, FUZZ_RUNS)
	@test -n "$(FUZZER_RUNTIME)" || { echo "Swift's toolchain has no libFuzzer here"; exit 1; }
	swift build --package-path Tests/Fuzz --scratch-path $(FUZZ) -c release --sanitize=address
	mkdir -p $(FUZZ)/{seeds,corpus,found}/{composer,validator,order,recovery,handoff}
	$(FUZZ_OPTIONS) $(FUZZ)/release/corpus $(FUZZ)/seeds . "$(abspath $(CORPORA))"
	@for target in $(FUZZ_TARGETS); do $(FUZZ_OPTIONS) Tests/Fuzz/run.sh $(FUZZ) $$target $(FUZZ_RUNS) || exit 1; done

# The address sanitizer runs all tests but three groups: ModelTests are plain values, optimised whatever the rest is;
# jqFreesWhatItTakes, the soak and the torture's last look measure memory, of which the sanitizer keeps what was freed; and no limit of
# memory holds what the sanitizer maps. An interpreter that was built without it cannot load a library that has it, so there the Python side
# is one without. The thread sanitizer sees one process at a time, so it runs what has threads in the tests' own process; what processes do to
# each other in shared memory is the models' work. Swift keeps bits of its own in pointers, which hides them from the search for leaks.
SANITIZED_BUILD = swift build --build-tests --sanitize=$(1) --scratch-path .build-$(2)
SANITIZED_TEST = RINGWAY_CORPORA="$(abspath $(CORPORA))" $(3) swift test --skip-build --sanitize=$(1) --scratch-path .build-$(2) --skip ModelTests

sanitize: setup ## run the tests under the address, thread and undefined behaviour sanitizers
	mkdir -p .build-sanitize
	for sanitizers in undefined address,undefined; do for target in CLinux CCurl; do \
	  clang -std=gnu17 -g -O1 -Wall -Wextra -Werror -fuse-ld=lld -fsanitize=$$sanitizers -fno-sanitize-recover=all -I Sources/$$target/include \
	    Sources/$$target/*.c Tests/$${target}Check/check.c -o .build-sanitize/$$target-check && .build-sanitize/$$target-check || exit 1; \
	done; done
	$(call SANITIZED_BUILD,address,asan)
	swift build --product ringway_python
	cp .build/debug/libringway_python.so .build-asan/debug/
	$(call SANITIZED_TEST,address,asan,ASAN_OPTIONS=detect_leaks=0:suppressions="$(abspath Tests/address-sanitizer.txt)" RINGWAY_SANITIZER=address) \
	  $(foreach test,jqFreesWhatItTakes theNumbersOfAShortSoakAddUp LimitTests,--skip $(test))
	$(call SANITIZED_BUILD,thread,tsan)
	$(call SANITIZED_TEST,thread,tsan,TSAN_OPTIONS=halt_on_error=1:suppressions="$(abspath Tests/thread-sanitizer.txt)") --skip BenchTests --skip CommandsTests --skip PipelineTests --skip RepositoryTests

install: build ## install into PREFIX (default /usr/local)
	install -D -m 755 "$(BINARY)" "$(PREFIX)/bin/ringway"
	strip "$(PREFIX)/bin/ringway"
	install -D -m 644 "$(BUILT)/libringway_python.so" "$(PREFIX)/lib/ringway/libringway_python.so"
	strip --strip-unneeded "$(PREFIX)/lib/ringway/libringway_python.so"
	install -D -m 644 Sources/CRingwayPlugin/ringway_plugin.h "$(PREFIX)/include/ringway_plugin.h"
	for room in Specs PluginKit PluginExport CRingwayPlugin; do for file in Sources/$$room/*.*; do install -D -m 644 $$file "$(PREFIX)/lib/ringway/swift/$$file"; done; done
	install -D -m 644 Sources/PluginExport/installed/Package.swift "$(PREFIX)/lib/ringway/swift/Package.swift"
	for file in Sources/WorkerABI/python/ringway/*.py; do install -D -m 644 $$file "$(PREFIX)/lib/ringway/python/ringway/$${file##*/}"; done
	@# Users may not write there, and so each of their workers would compile them anew.
	if command -v python3 > /dev/null; then python3 -m compileall -q "$(PREFIX)/lib/ringway/python"; fi
	@echo "Installed $(PREFIX)/bin/ringway. It needs no Swift, but these packages: $(RUNTIME)"
	@ldd "$(PREFIX)/bin/ringway" | awk '{print "  " $$1}'

clean: ## remove what was built
	rm -rf .build .build-check .build-bench .build-fuzz .build-asan .build-tsan .build-sanitize .build-mutants
