package main

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// protocol is what the client speaks, and the backend too.
type protocol string

// The protocols that are measured.
const (
	protoH1   protocol = "h1"   // HTTP/1.1, nginx
	protoH2   protocol = "h2"   // HTTP/2 with prior knowledge, nginx
	protoGRPC protocol = "grpc" // unary calls, a grpc-go server
	protoTCP  protocol = "tcp"  // echo of opaque bytes
	protoLink protocol = "link" // mTLS and HTTP/2, as the other proxy would speak to the server's side
	protoNone protocol = "none" // nothing is sent
)

// bodySize names the size of what comes back.
type bodySize string

// The sizes, in bytes.
const (
	bodySmall bodySize = "small"
	bodyLarge bodySize = "64k"

	smallBytes = 65
	largeBytes = 64 << 10
)

// bytes gives the size of the response body (TCP: of the message, both ways).
func (b bodySize) bytes() int {
	if b == bodyLarge {
		return largeBytes
	}
	return smallBytes
}

// hops is what lies between the client and the backend.
type hops int

// The ways. A case of twoHops that is measured over oneHop too needs no direct of its own.
const (
	noLoad   hops = iota // nothing is sent
	oneHop               // one proxy, plain
	twoHops              // two proxies, mTLS between them
	sameNode             // weft: one proxy for the client's workload and the backend's; the others: as oneHop
)

// word is the way in the id of a case, and title the same for people.
func (h hops) word() string { return []string{"none", "one", "two", "node"}[h] }

func (h hops) title() string {
	return []string{"no load", "one hop, plain", "two hops, mTLS", "both ends behind one proxy"}[h]
}

// single reports whether there is one proxy, which reaches the backend in the clear.
func (h hops) single() bool { return h == oneHop || h == sameNode }

// benchCase is one row of the matrix, or one scenario: everything that is equal for all peers.
type benchCase struct {
	hops  hops
	proto protocol
	kind  kind
	body  bodySize // of kindCarry; the others have the small one
	conns int      // requests in flight; what else it is at some kinds says kind.load
}

// carry gives a case of the matrix.
func carry(h hops, p protocol, b bodySize, conns int) benchCase {
	return benchCase{hops: h, proto: p, body: b, conns: conns}
}

// scenario gives a case of another kind.
func scenario(h hops, p protocol, k kind, n int) benchCase {
	return benchCase{hops: h, proto: p, kind: k, body: bodySmall, conns: n}
}

// id gives the name used by -cases and in files, such as "two/h1/small/32" or "two/h1/rate/2000".
func (c benchCase) id() string {
	what := string(c.kind)
	if c.kind == kindCarry {
		what = string(c.body)
	}
	return strings.Join([]string{c.hops.word(), string(c.proto), what, strconv.Itoa(c.conns)}, "/")
}

// title gives the name for people.
func (c benchCase) title() string {
	way := c.hops.title()
	proto := map[protocol]string{protoH1: "HTTP/1.1", protoH2: "HTTP/2", protoGRPC: "gRPC", protoTCP: "TCP", protoLink: "the server's side alone", protoNone: ""}[c.proto]
	what := c.spec().load(c)
	if proto != "" {
		way += ", " + proto
	}
	return way + ", " + what
}

// carried says what a case of the matrix carries.
func (c benchCase) carried() string {
	body := "65 B"
	if c.body == bodyLarge {
		body = "64 KiB"
	}
	if c.proto == protoTCP {
		body = "echo of " + body
	}
	return body + ", " + c.load()
}

// load says how the requests in flight are spread over connections.
func (c benchCase) load() string {
	conns, streams := c.spread()
	switch {
	case conns == 1 && streams == 1:
		return "1 connection"
	case streams == 1:
		return fmt.Sprintf("%d connections", conns)
	case conns == 1:
		return fmt.Sprintf("1 connection of %d streams", streams)
	}
	return fmt.Sprintf("%d connections of %d streams", conns, streams)
}

// spread gives connections and streams on each. HTTP/2 has one stream a connection, so that it
// compares with HTTP/1.1; gRPC clients share connections, so 32 streams go on each.
func (c benchCase) spread() (conns, streams int) {
	if c.proto != protoGRPC {
		return c.conns, 1
	}
	const perConn = 32
	if c.conns <= perConn {
		return 1, c.conns
	}
	return (c.conns + perConn - 1) / perConn, perConn
}

// everything gives the cases of a whole run: the central ones first, then the scenarios, then those
// within one proxy and the rest of the matrix, so that a run cut short by its time limit has what
// matters most.
func everything() []benchCase {
	const central = 3 // small HTTP/1.1 over two hops
	m := matrix()
	return slices.Concat(m[:central], scenarios(), nodes(), m[central:])
}

// nodes gives the cases of both ends behind one proxy.
func nodes() []benchCase {
	var out []benchCase
	for _, p := range []protocol{protoH1, protoH2, protoGRPC, protoTCP} {
		out = append(out, carry(sameNode, p, bodySmall, 32), carry(sameNode, p, bodySmall, 1))
	}
	return append(out, carry(sameNode, protoTCP, bodyLarge, 32), scenario(sameNode, protoTCP, kindDown, 1))
}

// matrix gives all cases of kindCarry, the central one (two hops, HTTP/1.1, small, 32) first.
func matrix() []benchCase {
	var out []benchCase
	for _, h := range []hops{twoHops, oneHop} {
		for _, p := range []protocol{protoH1, protoH2, protoGRPC, protoTCP} {
			for _, b := range []bodySize{bodySmall, bodyLarge} {
				for _, n := range []int{32, 1, 256} {
					out = append(out, carry(h, p, b, n))
				}
			}
		}
	}
	return out
}

// quickCases are the central case and the same at one connection.
func quickCases() []benchCase {
	return []benchCase{carry(twoHops, protoH1, bodySmall, 32), carry(twoHops, protoH1, bodySmall, 1)}
}

// selectCases keeps the cases that match one of the comma-separated patterns (path.Match, on the
// case's id). An empty list keeps all. A pattern that matches nothing is a usage error.
func selectCases(all []benchCase, patterns string) ([]benchCase, error) {
	if patterns == "" {
		return all, nil
	}
	var out []benchCase
	for _, pat := range strings.Split(patterns, ",") {
		found := false
		for _, c := range all {
			ok, err := path.Match(pat, c.id())
			if err != nil {
				return nil, &rig.Problem{What: "-cases: bad pattern " + strconv.Quote(pat), Why: err.Error()}
			}
			if ok {
				found = true
				if !slices.Contains(out, c) {
					out = append(out, c)
				}
			}
		}
		if !found {
			return nil, &rig.Problem{What: "-cases: no case matches " + strconv.Quote(pat),
				Why: "a case is HOPS/PROTOCOL/KIND/NUMBER, such as two/h1/small/32", Next: []string{"go run ./bench -list"}}
		}
	}
	return out, nil
}

// peerNames are the peers that exist, in the order in which they are shown.
var peerNames = []string{"direct", "haproxy", "envoy", "weft"}

// selectPeers checks a comma-separated list of peers and puts it in the order of peerNames.
func selectPeers(list string) ([]string, error) {
	want := strings.Split(list, ",")
	for _, w := range want {
		if !slices.Contains(peerNames, w) {
			return nil, &rig.Problem{What: "-peers: no peer " + strconv.Quote(w), Why: "known are " + strings.Join(peerNames, ", ")}
		}
	}
	var out []string
	for _, n := range peerNames {
		if slices.Contains(want, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// Bounds of one measurement. Shorter ones are lost in start-up and in the tick of the clock.
const (
	minSlot   = 800 * time.Millisecond
	maxSlot   = 4 * time.Second
	slotExtra = 250 * time.Millisecond // warm-up, start and end of the load generator
	caseExtra = 2 * time.Second        // start, check and end of all peers of a case
	minRounds = 3
)

// schedule is how a time budget is spent.
type schedule struct {
	rounds int
	slot   time.Duration // load on one peer in one round
}

// takesPart reports whether a peer is measured in a case of a run. direct is not where it has
// nothing to measure, and not in a case of two hops when the same case of one hop is measured too:
// without a proxy they are the same. Where variants of weft are compared, only weft is.
func takesPart(peer string, c benchCase, cases []benchCase) bool {
	spec := c.spec()
	twin := c
	twin.hops = oneHop
	switch {
	case len(spec.variants) > 0:
		return peer == usual.name
	case peer == "direct":
		return !spec.noDirect && (c.hops != twoHops || !slices.Contains(cases, twin))
	}
	return true
}

// measurements gives how many there are of a case in so many rounds.
func measurements(c benchCase, cases []benchCase, peers []string, rounds int) int {
	spec := c.spec()
	if spec.rounds > 0 {
		rounds = spec.rounds
	}
	n := 0
	for _, p := range peers {
		if takesPart(p, c, cases) {
			n += max(1, len(spec.variants))
		}
	}
	return n * rounds
}

// plan spreads budget over the measurements of cases by peers: the rounds asked for if they
// fit, fewer (but never less than minRounds) if they do not; then the longest slot that fits. What
// takes its own time, whatever the slot is, is taken off first. The runner stops at the end of the
// budget in any case.
func plan(budget time.Duration, cases []benchCase, peers []string, rounds int) schedule {
	if len(cases) == 0 || len(peers) == 0 {
		return schedule{rounds: rounds, slot: minSlot}
	}
	for ; rounds > minRounds; rounds-- {
		if slotFor(budget, cases, peers, rounds) >= minSlot {
			break
		}
	}
	slot := slotFor(budget, cases, peers, rounds)
	return schedule{rounds: rounds, slot: min(max(slot, minSlot), maxSlot).Round(10 * time.Millisecond)}
}

// slotFor gives the slot that is left for each measurement that has one, with so many rounds.
func slotFor(budget time.Duration, cases []benchCase, peers []string, rounds int) time.Duration {
	slots := 0
	for _, c := range cases {
		s := c.spec()
		budget -= caseExtra
		if n := measurements(c, cases, peers, rounds); s.takes > 0 {
			budget -= time.Duration(n) * s.takes
		} else {
			slots += n
		}
	}
	if slots == 0 {
		return min(budget, maxSlot) // below the least slot if it does not fit
	}
	return budget/time.Duration(slots) - slotExtra
}

// turn gives the order of n peers in a round: everyone in turn is first, because the one after a
// pause has cold caches, and the one after a busy peer has a warm clock.
func turn(n, round int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = (i + round) % n
	}
	return out
}
