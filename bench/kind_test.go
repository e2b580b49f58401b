package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestEveryKindIsDeclaredWholly(t *testing.T) {
	for _, c := range everything() {
		s, ok := specs[c.kind]
		if !ok || s.load == nil || s.per == "" {
			t.Fatalf("%s has no spec", c.id())
		}
		if title := c.title(); strings.Contains(title, "%!") || strings.Contains(title, ", ,") {
			t.Errorf("%s: title %q", c.id(), title)
		}
		seen := map[string]bool{}
		for _, col := range s.columns {
			if seen[col.name] || col.unit == "" || col.title == "" {
				t.Errorf("%s: column %+v", c.id(), col)
			}
			seen[col.name] = true
		}
		if n := len(axes(c)); n < 1 || n > 2 {
			t.Errorf("%s: %d figures are drawn", c.id(), n)
		}
	}
}

func TestEachCaseHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range everything() {
		if seen[c.id()] || strings.Count(c.id(), "/") != 3 {
			t.Errorf("%s", c.id())
		}
		seen[c.id()] = true
	}
	if want := 48 + len(scenarios()) + len(nodes()); len(seen) != want {
		t.Errorf("%d cases, want %d", len(seen), want)
	}
}

func TestAWholeRunFitsInThreeQuartersOfAnHour(t *testing.T) {
	o, err := parseOptions(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := plan(o.budget, o.cases, o.peers, o.rounds)
	if o.budget > 45*time.Minute || s.rounds < 5 || s.slot < minSlot {
		t.Errorf("%s: %d rounds of %s; want at least 5 rounds", o.budget, s.rounds, s.slot)
	}
	own := plan(time.Minute, []benchCase{scenario(twoHops, protoTCP, kindDown, 1)}, peerNames, 7)
	if own.rounds != 4 { // 4 peers, 3 s each
		t.Errorf("%d rounds of what takes its own time are planned for a minute, want 4", own.rounds)
	}
}

func TestWhatIsAddedIsADifferenceWithinARound(t *testing.T) {
	c := scenario(twoHops, protoH1, kindRate, 2000)
	round := []sample{{Peer: "weft", P50: 120, P99: 500, P999: 900}, {Peer: "direct", P50: 50, P99: 100, P999: 300}}
	relate(c, round)
	for name, want := range map[string]float64{"added_p50_us": 70, "added_p99_us": 400, "added_p999_us": 600} {
		if got := get(round[0].Quantities, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if len(round[1].Quantities) != 0 {
		t.Errorf("direct adds something to itself: %v", round[1].Quantities)
	}
	alone := []sample{{Peer: "weft", P50: 120}}
	relate(c, alone)
	if len(alone[0].Quantities) != 0 {
		t.Errorf("something is added to nothing: %v", alone[0].Quantities)
	}
}

func TestFiguresOfAKindAreMediansWithTheirUnits(t *testing.T) {
	var ss []sample
	for _, v := range []float64{1, 9, 2} {
		s := sample{Per: "GiB"}
		s.set(kindDown, "cpu_s_per_gib", v)
		s.set(kindDown, "no such figure", v)
		ss = append(ss, s)
	}
	sum := summarize("two/tcp/down/1", "weft", ss)
	if len(sum.Quantities) != 1 || sum.Quantities[0] != (quantity{"cpu_s_per_gib", "s/GiB", 2}) || sum.Per != "GiB" {
		t.Errorf("%+v", sum)
	}
	if !math.IsNaN(get(sum.Quantities, "gib_per_s")) {
		t.Error("a figure that was not measured is a number")
	}
	b, err := json.Marshal(sum)
	if err != nil || !strings.Contains(string(b), `"figures":[{"name":"cpu_s_per_gib","unit":"s/GiB","value":2}]`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestAServiceHasAsManyRulesAsAskedFor(t *testing.T) {
	for _, n := range []int{0, 1, 16, 17, 10_000} {
		rules, answering := 0, 0
		for name, text := range routeFiles(n) {
			if len(text) >= 1<<20 {
				t.Errorf("%s has %d bytes; weft reads no more than 1 MiB", name, len(text))
			}
			d := yaml.NewDecoder(strings.NewReader(text))
			for {
				var o struct {
					Spec struct {
						Rules []struct {
							Matches []struct{ Path struct{ Value string } }
							Filters []any
						}
					}
				}
				if err := d.Decode(&o); err != nil {
					break
				}
				if len(o.Spec.Rules) > rulesOfRoute {
					t.Errorf("%s: a route of %d rules", name, len(o.Spec.Rules))
				}
				for _, r := range o.Spec.Rules {
					rules++
					if r.Matches[0].Path.Value == "/small" && len(r.Filters) == 1 {
						answering++
					}
				}
			}
		}
		if rules != n || answering != min(n, 1) {
			t.Errorf("%d rules, %d of them for what is asked; want %d", rules, answering, n)
		}
	}
}

func TestOnlyThoseTakePartThatSaySomething(t *testing.T) {
	all := everything()
	for _, tc := range []struct {
		peer  string
		c     benchCase
		cases []benchCase
		want  bool
	}{
		{"direct", carry(twoHops, protoH1, bodySmall, 32), all, false},
		{"direct", carry(twoHops, protoH1, bodySmall, 32), quickCases(), true},
		{"direct", carry(oneHop, protoH1, bodySmall, 32), all, true},
		{"direct", scenario(twoHops, protoTCP, kindDown, 1), all, false},
		{"direct", carry(sameNode, protoH1, bodySmall, 32), all, true},
		{"envoy", scenario(sameNode, protoTCP, kindDown, 1), all, true},
		{"direct", scenario(twoHops, protoH1, kindRate, 2000), all, true},
		{"direct", scenario(twoHops, protoLink, kindIdle, 1000), all, false},
		{"envoy", scenario(twoHops, protoLink, kindIdle, 1000), all, true},
		{"envoy", scenario(twoHops, protoH1, kindLoops, 256), all, false},
		{"weft", scenario(twoHops, protoH1, kindLoops, 256), all, true},
	} {
		if got := takesPart(tc.peer, tc.c, tc.cases); got != tc.want {
			t.Errorf("%s in %s: %v, want %v", tc.peer, tc.c.id(), got, tc.want)
		}
	}
	if n := measurements(scenario(twoHops, protoH1, kindRoutes, 32), all, peerNames, 5); n != 15 {
		t.Errorf("%d measurements of three variants in five rounds, want 15", n)
	}
}
