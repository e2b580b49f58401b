package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// A goal that names a case or a figure that nothing measures would never be reached, and never
// missed.
func TestEveryGoalCanBeMeasured(t *testing.T) {
	var all results
	for _, c := range everything() {
		r := result{c: c}
		for _, p := range []string{"haproxy", "envoy", "weft"} {
			s := summary{Peer: p, Rounds: 1, RPS: 1, CPUMicros: 1, P50: 1, P99: 1}
			for _, col := range c.spec().columns {
				s.Quantities = append(s.Quantities, quantity{col.name, col.unit, 1})
			}
			r.peers = append(r.peers, s)
		}
		all = append(all, r)
	}
	for i, l := range reached(all) {
		if l.Measured == nil {
			t.Errorf("nothing measures %q", goals[i].figure)
		}
	}
}

func TestAGoalIsMetMissedOrNotMeasured(t *testing.T) {
	lines := reached(exampleResults()) // CPU 0.988 of HAProxy's, 0.494 of Envoy's
	if l := lines[0]; l.Met || l.Measured == nil || *l.Measured != 0.988 {
		t.Errorf("%+v, want 0.988 and missed", l)
	}
	if l := lines[len(lines)-1]; l.Met || l.Measured != nil {
		t.Errorf("%+v, want not measured and not met", l)
	}
	b, err := json.Marshal(lines[len(lines)-1])
	if err != nil || !strings.Contains(string(b), `"type":"goal"`) || !strings.Contains(string(b), `"measured":null`) {
		t.Errorf("%s, %v", b, err)
	}
	atLeast := goal{limit: 2.2, of: func(results) float64 { return 3 }}
	defer func(old []goal) { goals = old }(goals)
	goals = []goal{atLeast, {limit: 2.2, of: func(results) float64 { return math.NaN() }}}
	if l := reached(nil); !l[0].Met || l[1].Met {
		t.Errorf("%+v", l)
	}
}

func TestTheTableOfGoalsSaysWhatWasMissed(t *testing.T) {
	var b bytes.Buffer
	if err := writeGoals(&b, reached(exampleResults()), 0.5); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<= 0.85", "0.99", "missed", "more were not measured", "50 % of the machine"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := writeGoals(&b, reached(nil), 0); err != nil || b.Len() > 0 {
		t.Errorf("of nothing: %v, %q", err, b.String())
	}
}
