// Package control is the control plane: it takes objects from files and workloads from the
// registry, compiles them into snapshots, serves these to proxies, issues identities, takes
// reports in and answers the command line.
//
// State flows one way: source and registry, compile, snapshot, discovery. Each part has a package
// of its own (state, ca, registry, snapshot, discovery; observe beside them); this one starts and
// stops them and holds who may call what (access.go). The command line calls Run and nothing else.
package control
