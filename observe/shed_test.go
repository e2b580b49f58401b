package observe

import (
	"slices"
	"testing"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// What a backend's proxy turns away is known by the caller's identity only; it belongs to the
// callers' rows.
func TestWhatWasShedIsShownToWhomItMet(t *testing.T) {
	s, _ := newStore()
	out := func(from, backend string) report.Series {
		x := series(from, "cart", "r", backend, 10, 0)
		x.SourceIdentity = "id-of-" + from
		return x
	}
	shed := func(from, service string, list ...report.Refusal) report.Series {
		x := report.Series{Key: report.Key{Direction: report.Inbound, SourceIdentity: "id-of-" + from, Service: name(service), Backend: name(service + "-1"), Protocol: "http", TLS: true}}
		x.Refused = list
		return x
	}
	s.Add("callers", 1, []report.Series{out("web", "cart"), out("web", "cart-v2"), out("api", "cart"), series("nobody", "cart", "r", "cart", 1, 0)})
	s.Add("cart-1", 1, []report.Series{shed("web", "cart", report.Refusal{Code: "W3311", Count: 7}, report.Refusal{Code: "W3320", Count: 3})})
	s.Add("cart-2", 1, []report.Series{shed("web", "cart", report.Refusal{Code: "W3320", Count: 1}, report.Refusal{Code: "W3325", Count: 2})})
	s.Add("cart-3", 1, []report.Series{shed("api", "cart", report.Refusal{Code: "W3320", Count: 5})})
	want := map[string][]report.Refusal{
		"web cart":    {{Code: "W3320", Count: 4}, {Code: "W3325", Count: 2}},
		"web cart-v2": nil,
		"api cart":    {{Code: "W3320", Count: 5}},
		"nobody cart": nil,
	}
	rows := s.Stat(Query{}).Rows
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
	for i := range rows {
		who := rows[i].Source.Name + " " + rows[i].Backend.Name
		if !slices.Equal(rows[i].Shed, want[who]) {
			t.Errorf("%s: %v, want %v", who, rows[i].Shed, want[who])
		}
	}
	if r := s.Stat(Query{Group: ByService}).Rows; len(r) != 1 || report.Shed(r[0].Shed) != 11 {
		t.Errorf("of the service: %+v, want 11 shed", r)
	}
	if r := s.Stat(Query{Inbound: true, Source: model.Name{}}).Rows; len(r) != 2 || report.Shed(r[0].Shed)+report.Shed(r[1].Shed) != 11 {
		t.Errorf("as the servers saw it: %+v, want two rows with 11 shed", r)
	}
}

func TestRefusalsCountForTheBoundOfMemory(t *testing.T) {
	s, _ := newStore()
	x := series("web", "cart", "r", "cart", 0, 1)
	s.Add("a", 1, []report.Series{x})
	before := s.bytes
	x.Refused = []report.Refusal{{Code: "W3304", Count: 1}, {Code: "W3320", Count: 1}}
	s.Add("a", 2, []report.Series{x})
	s.Add("a", 3, []report.Series{x})
	if got := s.bytes - before; got != 2*codeBytes {
		t.Errorf("two codes grew the store by %d bytes, want %d", got, 2*codeBytes)
	}
}
