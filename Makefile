# `make demo` and `make test` install and set up everything that they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

CLANG ?= clang
# The objects have no path of this directory, so that builds in two places are equal.
BPF_CFLAGS := -O2 -g -ffile-compilation-dir=. -target bpf -mcpu=v3 -Wall -Werror -I/usr/include/$(shell $(CC) -print-multiarch)
BPF_OBJECTS := build/bpf/recorder.bpf.o build/bpf/inspect.bpf.o build/bpf/eye.bpf.o \
	build/bpf/carry.bpf.o build/bpf/delegation.bpf.o build/bpf/probe.bpf.o
SOURCES := $(shell find bench src test tools -name '*.ts') package.json

.PHONY: demo
demo:
	tools/setup.sh demo
	$(MAKE) --no-print-directory build build/guests/attach
	tools/demo.sh

# Everything: set-up, build, formatters and linters, unit tests, tests on the running kernel.
.PHONY: test
test:
	tools/setup.sh test
	$(MAKE) --no-print-directory build lint
	$(MAKE) --no-print-directory check

.PHONY: build
build: build/lib/bpfns.js build/js/.done build/types/.done build/lib/page/main.js

node_modules/.package-lock.json: package.json package-lock.json
	npm ci
	touch $@

build/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

build/js/.done: node_modules/.package-lock.json tsconfig.json $(SOURCES)
	npx tsc -p .
	touch $@

# The page of `bpfns web`, whole: what it is made of is bundled. build/lib is made anew before.
PAGE := $(wildcard src/page/*) src/control/rates.ts src/control/usage.ts
build/lib/page/main.js: build/lib/bpfns.js $(PAGE)
	npx tsc -p src/page
	npx esbuild src/page/main.tsx src/page/style.css --bundle --minify --format=iife --target=es2022 --jsx=automatic \
		--jsx-import-source=preact --log-level=warning --outdir=build/lib/page --metafile=build/page.json
	cp src/page/index.html src/page/login.html src/page/icon.svg build/lib/page

# The types of the export bpfns/client.
build/types/.done: node_modules/.package-lock.json tsconfig.json tsconfig.client.json $(SOURCES)
	npx tsc -p tsconfig.client.json
	touch $@

# The program that bin/bpfns starts: launch.cjs for `run` and `exec`, else bpfns.js, whose chunks load on demand.
# A worker is one file: that starts in two thirds of the time, and guests wait for it.
ESBUILD := npx esbuild --bundle --platform=node --target=node20 --external:koffi --log-level=warning --outdir=build/lib
ESM := --format=esm \
	--banner:js="import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
build/lib/bpfns.js: node_modules/.package-lock.json $(SOURCES) $(BPF_OBJECTS)
	rm -rf build/lib
	$(ESBUILD) $(ESM) bpfns=src/cli/main.ts client=src/control/api.ts --splitting --chunk-names=chunk-[hash] \
		--metafile=build/bundle.json
	$(ESBUILD) $(ESM) path-worker=src/calls/commands/pins/path-worker.ts \
		watchdog-worker=src/calls/watchdog-worker.ts accounting-worker=src/accounting/accounting-worker.ts \
		load-worker=src/calls/commands/tracing/load-worker.ts listener-worker=src/kernel/listener-worker.ts
	$(ESBUILD) launch=src/cli/launch-main.ts --format=cjs --out-extension:.js=.cjs
	cp $(BPF_OBJECTS) build/lib

# Generates offsets from bpf/bpfns.h and from the running kernel's BTF, or the BTF in VMLINUX_BTF.
.PHONY: layouts
layouts: build/js/.done $(BPF_OBJECTS)
	node build/js/tools/gen-layouts.js

PAGES := build/man/bpfns.8 build/man/bpf_namespaces.7 build/man/bpfns.conf.5
.PHONY: man
man: $(PAGES)

# The section about the commands comes from the same table as --help.
build/man/%.md: man/%.md build/js/.done
	mkdir -p $(@D)
	node build/js/tools/gen-cli.js man $< >$@

build/man/%: build/man/%.md
	go-md2man -in $< -out $@

COMPLETIONS := $(addprefix build/completions/bpfns.,bash zsh fish)
.PHONY: completions
completions: $(COMPLETIONS)

build/completions/bpfns.%: build/js/.done
	mkdir -p $(@D)
	node build/js/tools/gen-cli.js completion $* >$@

# Installs below DESTDIR: into PREFIX and /etc. koffi is the only package needed at run time.
PREFIX ?= /usr/local
# The architecture of koffi's native module.
NATIVE ?= $(shell node -p '`linux-$${process.arch}`')
LIB = $(DESTDIR)$(PREFIX)/lib/bpfns
SHARE = $(DESTDIR)$(PREFIX)/share
KOFFI := index.cjs index.js indirect.cjs indirect.js package.json src/koffi/index.cjs src/koffi/index.js \
	src/koffi/indirect.cjs src/koffi/indirect.js src/koffi/src/static.cjs src/koffi/src/static.js
.PHONY: install
install: build man completions
	rm -rf $(LIB)
	install -d $(LIB)/bin $(LIB)/build/lib $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/bpfns $(LIB)/bin
	find build/lib -maxdepth 1 -type f -exec install -m 644 -t $(LIB)/build/lib {} +
	install -D -m 644 -t $(LIB)/build/lib/page build/lib/page/*
	cd build/types && find . -name '*.d.ts' -exec install -D -m 644 {} $(abspath $(LIB))/build/types/{} \;
	install -m 644 package.json $(LIB)
	for file in $(KOFFI); do install -D -m 644 node_modules/koffi/$$file $(LIB)/node_modules/koffi/$$file; done
	cd node_modules/@koromix/koffi-$(NATIVE) && for file in package.json index.js linux_*/koffi.node; do \
		install -D -m 644 $$file $(abspath $(LIB))/node_modules/@koromix/koffi-$(NATIVE)/$$file; done
	ln -sf ../lib/bpfns/bin/bpfns $(DESTDIR)$(PREFIX)/bin/bpfns
	for page in $(PAGES); do install -D -m 644 $$page $(SHARE)/man/man$${page##*.}/$${page##*/}; done
	install -D -m 644 include/bpfns.h $(DESTDIR)$(PREFIX)/include/bpfns.h
	install -D -m 644 build/completions/bpfns.bash $(SHARE)/bash-completion/completions/bpfns
	install -D -m 644 build/completions/bpfns.zsh $(SHARE)/zsh/vendor-completions/_bpfns
	install -D -m 644 build/completions/bpfns.fish $(SHARE)/fish/vendor_completions.d/bpfns.fish

# Makes build/packages: bpfns-VERSION.tgz and the npm packages that it needs,
# bpfns_VERSION_ARCH.deb, checksums.
.PHONY: packages
packages: build man completions
	tools/package.sh

# bpfns:VERSION in podman's storage, checked.
.PHONY: image
image: packages
	tools/image.sh

# Everything that a release is made of and has to pass, but for `make test` and `make test-vm`.
.PHONY: release
release:
	tools/release.sh

.PHONY: clean
clean:
	rm -rf build

# Another version of bpfns, whose maps have other layouts: for test/kernel/upgrade.test.ts.
build/other/.done: build/js/.done build/lib/bpfns.js test/layout/other.sed
	rm -rf $(@D)
	mkdir -p $(@D)/bench $(@D)/test $(@D)/tools
	cp -a bin bpf src Makefile package.json package-lock.json $(@D)
	sed -i -f test/layout/other.sed $(@D)/bpf/bpfns.h
	ln -s ../../node_modules $(@D)/node_modules
	$(MAKE) --no-print-directory -C $(@D) $(BPF_OBJECTS)
	cd $(@D) && node ../js/tools/gen-layouts.js --contract
	$(MAKE) --no-print-directory -C $(@D) build/lib/bpfns.js
	touch $@

build/guests/%: test/guests/%.c $(wildcard include/*.h test/guests/*.h)
	mkdir -p $(@D)
	$(CC) -O1 -g -Wall -Wextra -Werror -pthread -o $@ $< $(LIBRARIES) -lbpf
build/guests/xsk: LIBRARIES = -lxdp
build/guests/%.bpf.o: test/guests/%.bpf.c $(wildcard bpf/*.h test/guests/*.h)
	mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -Ibpf -c $< -o $@
build/guests/%: test/guests/%.go
	mkdir -p $(@D)
	GO111MODULE=off CGO_ENABLED=0 go build -o $@ $<
GUEST_SOURCES := $(wildcard test/guests/*.c)
GUESTS := $(patsubst test/guests/%.c,build/guests/%,$(filter-out %.bpf.c,$(GUEST_SOURCES))) \
	$(patsubst test/guests/%.go,build/guests/%,$(wildcard test/guests/*.go)) \
	$(patsubst test/guests/%.bpf.c,build/guests/%.bpf.o,$(filter %.bpf.c,$(GUEST_SOURCES)))

# Unit tests: they need no root, no eBPF, and nothing but Node and npm packages.
.PHONY: unit
unit: build/js/.done
	node --enable-source-maps build/js/tools/run-tests.js $(UNIT_TESTS)
UNIT_TESTS = $(patsubst %.ts,build/js/%.js,$(filter-out $(NEED_PACKAGES),$(shell find src -name '*.test.ts')) \
	test/architecture.test.ts test/documents.test.ts test/kubernetes.test.ts)
# These need bpftool, or objects that clang compiles.
NEED_PACKAGES = src/host/type-names.test.ts src/sys/btf.test.ts src/sys/btf-convert.test.ts src/sys/elf.test.ts

# The pictures in docs/, made by the test of the page.
.PHONY: screenshots
screenshots:
	$(MAKE) --no-print-directory check TESTS=build/js/test/machine/web.test.js
	cp build/screenshots/top.png build/screenshots/web-light.png docs

# Only the kernel tests, as root. TESTS=... runs some of them.
.PHONY: test-kernel
test-kernel:
	tools/setup.sh test
	$(MAKE) --no-print-directory check $(if $(filter command line environment,$(origin TESTS)),,TESTS="$(KERNEL_TESTS)")

.PHONY: check
check: build man $(GUESTS) build/other/.done
	node --enable-source-maps build/js/tools/run-tests.js $(TESTS)
TESTS ?= $(patsubst %.ts,build/js/%.js,$(shell find src test -name '*.test.ts'))

# The kernel tests on Debian's other kernels, in virtual machines, with each backend of the recorder.
# KERNELS="6.1-cloud 6.12:function" and TESTS=... run less.
.PHONY: test-vm
test-vm:
	tools/setup.sh vm
	$(MAKE) --no-print-directory build $(GUESTS) build/other/.done
	node --enable-source-maps build/js/tools/vm/main.js $(VM_TESTS)
VM_TESTS = $(if $(filter command line environment,$(origin TESTS)),$(TESTS),$(KERNEL_TESTS))
KERNEL_TESTS := $(patsubst %.ts,build/js/%.js,$(wildcard test/kernel/*.test.ts))

# The part that CI has time for (tools/vm/plan.ts).
.PHONY: test-vm-ci
test-vm-ci:
	$(MAKE) --no-print-directory test-vm TESTS=--ci VM_JOBS=2 VM_TIMEOUT=1200 VM_QUIET=1

# Two million creations, and 200,000 of each call: the agent's memory must not grow. A million calls
# of a Go program, whose signals interrupt them. In the first, guests live longer than time limits allow.
.PHONY: soak
soak: build $(GUESTS)
	BPFNS_SOAK=1 BPFNS_TEST_SLOWNESS=60 node --enable-source-maps build/js/tools/run-tests.js \
		build/js/test/kernel/soak.test.js
	BPFNS_SOAK=1 node --enable-source-maps build/js/tools/run-tests.js build/js/test/runtimes/interrupted.test.js

.PHONY: lint
lint: node_modules/.package-lock.json
	@missing=; for tool in clang-format shellcheck; do \
		command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	[ -z "$$missing" ] || { echo "make lint needs$$missing: 'tools/setup.sh lint' installs it" >&2; exit 1; }
	npx biome check --error-on-warnings
	npx oxlint --type-aware --deny-warnings
	npx rumdl check --quiet . || { echo "'make format' fixes most of this" >&2; exit 1; }
	shellcheck $(SCRIPTS)
	clang-format --dry-run -Werror $(C_SOURCES) || { echo "'make format' fixes this" >&2; exit 1; }

# Fixes what `make lint` reports, where a tool can.
.PHONY: format
format: node_modules/.package-lock.json
	npx biome check --write
	npx rumdl fmt --quiet .
	clang-format -i $(C_SOURCES)

SCRIPTS = .ci/run bin/bpfns $(shell find bench examples packaging tools -name '*.sh' -not -path '*/vm/*')
C_SOURCES = $(wildcard bench/*.[ch] bpf/*.[ch] examples/*.c include/*.h test/guests/*.[ch])

# Writes ratios against a C responder and against no filter to bench/results.md. Needs a quiet machine.
# BENCH=trapped,listing measures only these sections; bench/run.ts has their names.
build/bench/%: bench/%.c bench/listener.h
	mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -Werror -o $@ $<
build/bench/peer: bench/peer.go build/bench/filtered
	GO111MODULE=off go build -o $@ $<
.PHONY: bench
bench:
	tools/setup.sh test
	$(MAKE) --no-print-directory build build/bench/guest build/bench/responder build/bench/minimal build/bench/worst build/bench/tracer \
		$(if $(shell command -v go),build/bench/peer) build/guests/pid-iter build/guests/pid-iter.bpf.o
	node build/js/bench/run.js $(subst $(comma), ,$(BENCH))
comma := ,
