package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheMatrixHasEveryCombinationOnce(t *testing.T) {
	all := matrix()
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.id()] {
			t.Errorf("%s is there twice", c.id())
		}
		seen[c.id()] = true
	}
	if len(all) != 2*4*2*3 {
		t.Errorf("%d cases, want 48", len(all))
	}
	if all[0] != quickCases()[0] {
		t.Errorf("the first case is %s, want the central one, so that a run cut short has it", all[0].id())
	}
}

func TestCasesAreChosenByPattern(t *testing.T) {
	for _, tc := range []struct {
		patterns string
		want     int
		bad      bool
	}{
		{"", 48, false}, {"two/h1/small/32", 1, false}, {"two/h1/*/32", 2, false}, {"*/tcp/*/*", 12, false},
		{"two/h1/small/32,two/*/small/32", 4, false}, {"two/h3/*/*", 0, true}, {"two/[", 0, true}, {"two/h1/small/32,nonsense", 0, true},
	} {
		got, err := selectCases(matrix(), tc.patterns)
		if (err != nil) != tc.bad || len(got) != tc.want {
			t.Errorf("%q: %d cases, error %v; want %d, error %v", tc.patterns, len(got), err, tc.want, tc.bad)
		}
	}
}

func TestTheCasesOfOneProxyForBothEndsAreNamedSo(t *testing.T) {
	got, err := selectCases(everything(), "node/*/*/*")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range got {
		ids = append(ids, c.id())
		if !strings.HasPrefix(c.title(), "both ends behind one proxy, ") {
			t.Errorf("%s is called %q", c.id(), c.title())
		}
	}
	want := []string{"node/h1/small/32", "node/h1/small/1", "node/h2/small/32", "node/h2/small/1", "node/grpc/small/32", "node/grpc/small/1",
		"node/tcp/small/32", "node/tcp/small/1", "node/tcp/64k/32", "node/tcp/down/1"}
	if !slices.Equal(ids, want) {
		t.Errorf("cases %q, want %q", ids, want)
	}
}

func TestRequestsInFlightAreSpreadOverConnections(t *testing.T) {
	for _, tc := range []struct {
		p                       protocol
		n, conns, streams, want int
	}{{protoH1, 256, 256, 1, 256}, {protoH2, 32, 32, 1, 32}, {protoGRPC, 1, 1, 1, 1}, {protoGRPC, 32, 1, 32, 32}, {protoGRPC, 256, 8, 32, 256}} {
		c, s := benchCase{proto: tc.p, conns: tc.n}.spread()
		if c != tc.conns || s != tc.streams || c*s != tc.want {
			t.Errorf("%s %d: %d x %d, want %d x %d", tc.p, tc.n, c, s, tc.conns, tc.streams)
		}
	}
}

func TestThePlanFitsItsBudget(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		budget               time.Duration
		cases, peers, rounds int
	}{
		{"the whole matrix", 25 * time.Minute, 48, 4, 5}, {"quick", 50 * time.Second, 2, 3, 7}, {"many rounds", 10 * time.Minute, 1, 3, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := plan(tc.budget, matrix()[:tc.cases], peerNames[:tc.peers], tc.rounds)
			if s.rounds < minRounds || s.rounds > tc.rounds || s.slot < minSlot || s.slot > maxSlot {
				t.Fatalf("%d rounds of %s", s.rounds, s.slot)
			}
			need := time.Duration(0)
			for _, c := range matrix()[:tc.cases] {
				need += caseExtra + time.Duration(measurements(c, matrix()[:tc.cases], peerNames[:tc.peers], s.rounds))*(s.slot+slotExtra)
			}
			if need > tc.budget+time.Second {
				t.Errorf("%d rounds of %s need %s, more than %s", s.rounds, s.slot, need, tc.budget)
			}
		})
	}
	if s := plan(time.Second, matrix(), peerNames, 5); s.rounds != minRounds || s.slot != minSlot {
		t.Errorf("with no time at all: %+v, want the smallest plan (the runner stops at the end)", s)
	}
	if s := plan(time.Minute, matrix()[:1], peerNames[:1], 1); s.rounds != 1 {
		t.Errorf("one round asked for, %d planned", s.rounds)
	}
	if s := plan(time.Minute, nil, nil, 5); s.slot <= 0 {
		t.Errorf("nothing to do: %+v", s)
	}
}

func TestEveryPeerIsFirstInTurn(t *testing.T) {
	first := map[int]bool{}
	for r := range 3 {
		order := turn(3, r)
		first[order[0]] = true
		slices.Sort(order)
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("round %d leaves someone out: %v", r, order)
		}
	}
	if len(first) != 3 {
		t.Errorf("only %v were first", first)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string // in the error; empty: accepted
	}{
		{"none", nil, ""},
		{"quick", []string{"-quick"}, ""},
		{"an unknown flag", []string{"-qick"}, "qick"},
		{"an argument", []string{"two"}, "unexpected argument"},
		{"an unknown peer", []string{"-peers", "nginx"}, "no peer"},
		{"a case that quick does not have", []string{"-quick", "-cases", "one/h1/small/1"}, "no case matches"},
		{"no rounds", []string{"-rounds", "0"}, "out of range"},
		{"no time", []string{"-for", "0s"}, "out of range"},
		{"a year", []string{"-for", "9000h"}, "out of range"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseOptions(tc.args, io.Discard)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := parseOptions([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestQuickIsShortAndLeavesDirectOut(t *testing.T) {
	o, err := parseOptions([]string{"-quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.budget > time.Minute || slices.Contains(o.peers, "direct") || len(o.cases) != 2 {
		t.Errorf("%s, peers %v, %d cases", o.budget, o.peers, len(o.cases))
	}
	if o, err = parseOptions([]string{"-quick", "-for", "20s", "-peers", "weft,envoy"}, io.Discard); err != nil || o.budget != 20*time.Second || !slices.Equal(o.peers, []string{"envoy", "weft"}) {
		t.Errorf("what was given does not win: %s, %v, %v", o.budget, o.peers, err)
	}
}
