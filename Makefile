# weft: `make help` lists the targets.
# Go 1.26's HTTP/2 has published holes; this toolchain is fetched by the go command itself.
export GOTOOLCHAIN = go1.27.4
export CGO_ENABLED = 0

# Without grpc's debug pages the binaries are a sixth smaller, and so is what stays in memory.
BUILD := -trimpath -ldflags='-s -w' -tags grpcnotrace

BIN := bin
TOOLS := $(CURDIR)/.tools
GOLANGCI := $(TOOLS)/golangci-lint-v2.15.0
H2SPEC := $(TOOLS)/h2spec
BENCHSTAT := $(TOOLS)/benchstat
GRPC_GO := $(TOOLS)/grpc-go-v1.85.0
GRPC_JAVA := $(TOOLS)/grpc-java-1.79.0
CONNECT := $(TOOLS)/connect-v1.0.7
KOSOKU := $(TOOLS)/kosoku-0.1.0/bin/kosoku
RATELIMIT := $(TOOLS)/ratelimit
# Tests find the tools there.
export PATH := $(TOOLS):$(PATH)

.PHONY: help build demo test sim sim-bugs race lint bench bench-quick bench-faults bench-micro bench-record generate clean deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build weft and weft-proxy into bin/
	@mkdir -p $(BIN)
	go build $(BUILD) -o $(BIN)/ ./cmd/weft ./cmd/weft-proxy

demo: build ## show a working mesh on this machine (Ctrl-C ends it)
	$(BIN)/weft demo $(DEMO_FLAGS)

deps: ## install the Debian packages that tests use (root; otherwise say what is missing)
	@scripts/deps

test: deps build $(H2SPEC) $(GRPC_GO) $(GRPC_JAVA) $(CONNECT) $(KOSOKU) $(RATELIMIT) ## run all tests, then again with the race detector
	go vet ./...
	go test -timeout 15m $$(go list ./... | grep -v /test/flood)
	go test -timeout 10m ./test/flood # alone: it measures latencies
	@echo "with the race detector, all but the suites that only drive other processes:"
	CGO_ENABLED=1 go test -race -timeout 20m $$(go list ./... | grep -v -e /test/flood -e /test/attack -e /test/interop)

SEEDS := 1000

sim: ## live SEEDS simulated lives of a mesh and look for one in which an invariant does not hold
	go run ./sim -seeds $(SEEDS)

sim-bugs: ## plant one bug after the other; the simulator must find each within SEEDS lives
	go run -tags plantedbugs ./sim -bugs -seeds $(SEEDS)
	go test -count 1 -tags plantedbugs ./sim/plane

lint: $(GOLANGCI) ## check style and common mistakes
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "run gofmt -w on:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GOLANGCI) run ./...

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(TOOLS)/golangci-lint $@

$(H2SPEC): # somebody else's conformance suite for HTTP/2
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible

$(GRPC_GO): # gRPC's own clients and servers for tests of interoperability: Go's
	@rm -rf $@.part && mkdir -p $@.part
	GOBIN=$@.part go install google.golang.org/grpc/interop/client@v1.85.0 google.golang.org/grpc/interop/server@v1.85.0 google.golang.org/grpc/interop/http2@v1.85.0
	@mv $@.part $@

$(GRPC_JAVA): test/interop/testdata/grpc-java/pom.xml # and Java's, if there is Maven
	@rm -rf $@.part && mkdir -p $@.part
	@if command -v mvn >/dev/null; then \
		echo "fetching grpc-java with Maven"; \
		mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$@.part && rm -rf $@ && mv $@.part $@ && touch $@; \
	else rm -rf $@.part; echo "no Maven: tests with grpc-java are skipped"; fi

$(CONNECT): # Connect's own, which also covers gRPC and gRPC-Web
	@rm -rf $@.part && mkdir -p $@.part
	GOBIN=$@.part go install connectrpc.com/conformance/cmd/connectconformance@v1.0.7 connectrpc.com/conformance/cmd/referenceclient@v1.0.7 connectrpc.com/conformance/cmd/referenceserver@v1.0.7
	@mv $@.part $@

$(KOSOKU): # Autobahn's WebSocket cases, in an environment that must not be moved, if Python can make one
	@rm -rf $(TOOLS)/kosoku-0.1.0
	@if python3 -m venv $(TOOLS)/kosoku-0.1.0; then \
		echo "fetching kosoku with pip"; \
		$(TOOLS)/kosoku-0.1.0/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: kosoku==0.1.0; \
	else echo "no venv for python3: tests of WebSocket cases are skipped"; fi

$(RATELIMIT): # the service that speaks Envoy's rate limit protocol, for the tests of its client
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36
	@mv $(TOOLS)/service_cmd $@

bench: deps build ## measure weft beside HAProxy, Envoy and direct (root, some minutes)
	@mkdir -p dist
	go run ./bench -weft $(BIN) -json dist/bench.jsonl -svg dist/bench.svg

bench-quick: deps build ## the central case in at most 60 s; the last line is JSON
	@go run ./bench -quick -weft $(BIN)

# The baseline is renewed on a quiet machine: cp dist/micro.txt bench/history/micro.txt
MICRO := ./proxy/h1 ./proxy/h2/... ./proxy/core ./proxy/detect ./proxy/balance ./proxy/telemetry ./proxy/drive/epoll ./decide

bench-faults: deps build ## break servers behind weft, HAProxy and Envoy: tables and plots of docs/reliability (root, 6 minutes)
	go run ./bench/faults -weft $(BIN) -docs docs/reliability

bench-micro: $(BENCHSTAT) ## each step of the data path alone, beside the committed baseline
	@mkdir -p dist
	go test -run '^$$' -bench . -benchmem -count 6 -benchtime 50ms $(MICRO) > dist/micro.txt || { cat dist/micro.txt; exit 1; }
	$(BENCHSTAT) bench/history/micro.txt dist/micro.txt

bench-record: ## keep the last `make bench` as a release's result and draw the plot (VERSION=v1.2.0)
	go run ./bench/history -add dist/bench.jsonl $(if $(VERSION),-version $(VERSION))

$(BENCHSTAT): # whether two runs of a micro-benchmark differ, or only seem to
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

generate: ## make generated files again (protobuf, schemas, code pages)
	go generate ./...

clean: ## remove what was built
	rm -rf $(BIN) dist
