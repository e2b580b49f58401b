package balance

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func TestEachStateIsTold(t *testing.T) {
	s := with(4, func(p *model.Policy) {
		p.Health = &model.HealthCheck{Unhealthy: 1, Healthy: 1}
		p.Balance.PanicPercent = 0
	})
	warm(s, 3*ms)
	eps := endpoints(6)
	eps[3].Draining = true
	s.Update(time.Second, eps)
	failing(s.all[1], 2*time.Second, 5)
	s.all[2].Checked(3*time.Second, false)
	s.all[0].Start()
	rows := s.AppendState(4*time.Second, nil)
	for i, want := range []struct {
		state State
		since time.Duration
	}{{Ready, 0}, {Ejected, 2 * time.Second}, {Unhealthy, 3 * time.Second}, {Draining, time.Second}, {Starting, time.Second}, {Starting, time.Second}} {
		if r := rows[i]; r.State != want.state || r.Since != want.since || r.Addr != eps[i].Addr {
			t.Errorf("row %d: %s since %s of %s, want %s since %s", i, r.State, r.Since, r.Addr, want.state, want.since)
		}
		if gets := rows[i].Weight > 0; gets != (want.state == Ready || want.state == Starting) {
			t.Errorf("row %d: %s with weight %v", i, want.state, rows[i].Weight)
		}
	}
	if r := rows[0]; r.Inflight != 1 || r.Latency > 3*ms || r.Latency < 1*ms || r.Success != 1 {
		t.Errorf("row 0: %+v", r)
	}
	if r := rows[1]; r.Ejections != 1 || r.Until < 6*time.Second || r.Success > 0.5 {
		t.Errorf("row 1: %+v", r)
	}
	if again := s.AppendState(4*time.Second, rows); len(again) != 12 {
		t.Errorf("%d rows", len(again))
	}
}

func TestASetWithoutEndpointsHasNoRows(t *testing.T) {
	var s Set
	if rows := s.AppendState(0, nil); len(rows) != 0 {
		t.Errorf("%d rows", len(rows))
	}
}
