// Package interop tests that weft is not noticed: other people's clients and servers of gRPC, with
// the test suites that they publish, talk to each other through two proxies, mTLS between them.
// Everything is a real process, weft built once as `make build` does.
//
// The suites are fetched by the Makefile into .tools. Where they are missing the tests that need
// them are skipped and say so; with CI=true in the environment that is a failure. WEFT_INTEROP=full
// runs all compressions of Connect's suite and all WebSocket cases (about 17 minutes); an ordinary
// run takes a part of each.
package interop
