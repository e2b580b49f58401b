package telemetry

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-mesh/weft/api/report"
)

func TestTriesAreReportedBesideTheRequestsThatTheyMakeUp(t *testing.T) {
	r := NewRegistry(2)
	c := NewCollector(r)
	for i := range 2 { // one key on two loops
		s := r.Shard(i).Get(key("cart"))
		s.Start()
		s.TryFailed()
		s.Retried()
		s.Hedged()
		s.HedgeWon()
		s.End(200, false, false, 0, 0, 0)
	}
	_, got := one(t, c)
	if got.Success != 2 || got.Retries != 2 || got.Hedges != 2 || got.HedgesWon != 2 || got.TriesFailed != 2 {
		t.Errorf("%+v", got)
	}
	if got.Tries() != 6 || math.Abs(got.TrySuccess()-2./3) > 1e-9 {
		t.Errorf("%d tries, success %v", got.Tries(), got.TrySuccess())
	}
	r.Shard(1).Get(key("cart")).Retried() // of a request that is under way
	_, got = one(t, c)
	if d := cmp.Diff(report.Counts{Retries: 1}, got); d != "" {
		t.Errorf("later: %s", d)
	}
}

func TestRefusalsAreReportedByCodeOnce(t *testing.T) {
	r := NewRegistry(1)
	c := NewCollector(r)
	s := r.Shard(0).Get(key("cart"))
	refuse := func(code string) {
		s.Start()
		s.Refused(code)
		s.End(503, true, false, 0, 0, 0)
	}
	refuse("W3321")
	refuse("W3320")
	refuse("W3321")
	_, got := one(t, c)
	if d := cmp.Diff([]report.Refusal{{Code: "W3320", Count: 1}, {Code: "W3321", Count: 2}}, got.Refused); d != "" {
		t.Errorf("first: %s", d)
	}
	refuse("W3321")
	_, got = one(t, c)
	if d := cmp.Diff([]report.Refusal{{Code: "W3321", Count: 1}}, got.Refused); d != "" {
		t.Errorf("second: %s", d)
	}
}

func TestCodesOfASeriesAreBounded(t *testing.T) {
	s := NewRegistry(1).Shard(0).Get(key("cart"))
	for i := range 1000 {
		s.Refused(fmt.Sprintf("W%04d", i))
	}
	list := s.counts().Refused
	var sum uint64
	for _, r := range list {
		sum += r.Count
	}
	if len(list) > report.MaxRefusals || sum != 1000 {
		t.Errorf("%d codes with %d refusals, want at most %d with 1000", len(list), sum, report.MaxRefusals)
	}
}

func TestTriesAndRefusalsAreOnThePage(t *testing.T) {
	r := NewRegistry(1)
	quiet, busy := r.Shard(0).Get(key("quiet")), r.Shard(0).Get(key("cart"))
	for _, s := range []*Series{quiet, busy} {
		s.Start()
		s.End(200, false, false, time.Millisecond, 0, 0)
	}
	busy.Retried()
	busy.Retried()
	busy.Hedged()
	busy.HedgeWon()
	busy.TryFailed()
	busy.Refused("W3320")
	p := page(t, r)
	for name, want := range map[string]float64{
		"weft_retries_total": 2, "weft_hedges_total": 1, "weft_hedges_won_total": 1, "weft_tries_failed_total": 1, "weft_request_refusals_total": 1,
	} {
		m := p[name].GetMetric()
		if len(m) != 1 || m[0].GetCounter().GetValue() != want || labels(m[0])["service"] != "cart" {
			t.Errorf("%s: %v, want one sample of %v for cart", name, m, want)
		}
	}
}
