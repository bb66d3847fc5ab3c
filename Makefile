# Everything here works on a bare machine with Go: `make demo` and `make test` need nothing else (the race detector needs a
# C compiler). `make generate` also needs Node (npx); generated code is committed.

GO ?= go
BIN := $(CURDIR)/bin

# Tools, pinned.
BUF_VERSION                   := 1.75.0
PROTOC_GEN_GO_VERSION         := v1.36.12
PROTOC_GEN_CONNECT_GO_VERSION := v1.21.1
GOLANGCI_LINT_VERSION         := v2.12.2

DEMO_FLAGS  ?=
DEV_FLAGS   ?=
TEST_FLAGS  ?=
E2E_FLAGS   ?=
BENCH       ?= .
BENCH_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help build test race lint generate check-generate tools zones demo dev e2e scale bench gobench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, bin/fairlane
	$(GO) build -o $(BIN)/fairlane ./cmd/fairlane

test: ## vet, and every test with the race detector, shuffled; the e2e tests last, alone, in their short form
	$(GO) vet ./...
	cd bench && $(GO) vet ./...
	$(MAKE) race
	cd bench && $(GO) test -race -shuffle=on -timeout 10m $(TEST_FLAGS) ./...
	$(GO) test -race -shuffle=on -p 1 -timeout 20m $(TEST_FLAGS) ./e2e/...

# The random histories of fsm take the most time: a third of them with the race detector, all of them without.
# Budgets of allocations are skipped under the race detector, which allocates too.
race: ## the same without vet and without the e2e tests
	$(GO) test -race -shuffle=on -timeout 20m $(TEST_FLAGS) $$($(GO) list ./... | grep -v -e /e2e -e /fsm$$)
	$(GO) test -race -shuffle=on -timeout 20m $(TEST_FLAGS) ./fsm -histories 100
	$(GO) test -shuffle=on -timeout 20m $(TEST_FLAGS) ./fsm
	$(GO) test -shuffle=on -timeout 5m $(TEST_FLAGS) -run Allocations ./client ./cluster

lint: ## gofmt, go vet, and golangci-lint where it is installed
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	cd bench && $(GO) vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run ./...; \
	else echo "golangci-lint $(GOLANGCI_LINT_VERSION) is not installed: skipped"; fi

tools: ## the pinned code generators, into bin/
	GOBIN=$(BIN) $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION)
	GOBIN=$(BIN) $(GO) install connectrpc.com/connect/cmd/protoc-gen-connect-go@$(PROTOC_GEN_CONNECT_GO_VERSION)

generate: tools ## Go code from proto/, with buf from npm
	cd proto && PATH="$(BIN):$$PATH" npx --yes @bufbuild/buf@$(BUF_VERSION) generate

check-generate: generate ## fails when the committed generated code is not what generate makes
	@changed=$$(git status --porcelain -- proto/gen); if [ -n "$$changed" ]; then \
		echo "generated code differs from proto/; commit what make generate made:"; echo "$$changed"; exit 1; fi

zones: ## the zone data that are embedded, from the Go distribution in use
	cp "$$($(GO) env GOROOT)/lib/time/zoneinfo.zip" cluster/calendar/zoneinfo.zip

demo: build ## the main job: 3 servers, 2 workers, 3 users, the leader killed twice, every promise checked (under a minute)
	$(BIN)/fairlane demo $(DEMO_FLAGS)

dev: build ## a development cluster on http://127.0.0.1:7171
	$(BIN)/fairlane dev $(DEV_FLAGS)

e2e: ## the long tests: real processes, SIGKILL, both log stores; random histories of parked claims (an hour)
	$(GO) test -count=1 -timeout 20m ./cluster -run TestNoJobWaits -stage.count 5000
	$(GO) test -count=1 -timeout 120m -v $(E2E_FLAGS) ./e2e -chaos.full

scale: ## what a million waiting jobs, snapshots under load and 10,000 workers cost: real processes, 8 GiB of memory (minutes)
	$(GO) test -count=1 -timeout 60m -v -run TestScale $(E2E_FLAGS) ./e2e -scale.full

bench: build ## Fairlane beside raft alone, a bare echo and other queues, as a table; BENCH_FLAGS: see bench/README.md (most of an hour)
	cd bench && $(GO) run . $(BENCH_FLAGS)

gobench: ## Go benchmarks of all rooms; BENCH=pattern takes some
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./...

clean: ## removes bin/
	rm -rf $(BIN)
