# `make up` and `make test` are all that a new machine needs: they install what they lack by themselves.
.PHONY: help up observe test build lint bench lock clean

help:
	@echo 'make up      set up what is missing and run the whole system on this machine (Ctrl-C stops it)'
	@echo 'make observe run a Prometheus with our rules and alerts beside the running system (Ctrl-C stops it)'
	@echo 'make test    set up what is missing, lint, type-check and run every test'
	@echo 'make bench   measure against a bare Ray head (prints JSON; BENCHMARKS.md has the last results)'
	@echo 'make clean   stop what runs from here and remove everything that make has made'
	@echo 'make build | lint | lock'

up:
	@node scripts/setup.mjs
	@exec node cli/bin/iocloud.js up

observe:
	@exec node scripts/observe.mjs

test:
	@node scripts/test.mjs

build:
	@node scripts/setup.mjs --build-only

lint: build
	@npm run --silent lint

bench:
	@node scripts/bench.mjs

# The Python locks, from python/*.in. Needs uv on the PATH.
lock:
	@for name in ray redis old-ray; do uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links python/$$name.in -o python/$$name.lock; done

clean:
	@node scripts/clean.mjs
