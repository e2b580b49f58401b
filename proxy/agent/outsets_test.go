package agent

import (
	"net/netip"
	"testing"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

func endpoints(port uint16, n int) report.Set {
	s := report.Set{SetKey: report.SetKey{Service: model.Name{Namespace: "shop", Name: "cart"}, Port: port}, Loops: 1}
	for i := range n {
		s.Endpoints = append(s.Endpoints, report.Endpoint{Workload: model.Name{Namespace: "shop", Name: "cart-1"}, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i))})
	}
	return s
}

// sent takes the next batch and answers it.
func sent(o *outbox) *pb.ReportBatch {
	b := o.next("p", "i")
	o.answered(b.GetSequence())
	return b
}

func TestTheLastStateOfASetIsSentOnce(t *testing.T) {
	var o outbox
	o.init()
	o.addSets([]report.Set{endpoints(80, 1)})
	o.addSets([]report.Set{endpoints(80, 2), endpoints(81, 1)})
	b := sent(&o)
	if len(b.GetSets()) != 2 || len(b.GetSets()[0].GetEndpoints()) != 2 {
		t.Errorf("%v, want two sets, the first with two endpoints", b)
	}
	if b := sent(&o); b != nil {
		t.Errorf("%v is sent and nothing changed", b)
	}
	o.anew()
	if b := sent(&o); len(b.GetSets()) != 2 {
		t.Errorf("%v on a new stream, want both sets", b)
	}
}

func TestASetThatEndedIsToldAndForgotten(t *testing.T) {
	var o outbox
	o.init()
	o.addSets([]report.Set{endpoints(80, 1), endpoints(81, 0)})
	if b := sent(&o); len(b.GetSets()) != 1 {
		t.Errorf("%v, want only the set that was there", b)
	}
	o.addSets([]report.Set{endpoints(80, 0)})
	if b := sent(&o); len(b.GetSets()) != 1 || len(b.GetSets()[0].GetEndpoints()) != 0 {
		t.Errorf("%v, want the end of the set", b)
	}
	o.anew()
	if b := sent(&o); b != nil {
		t.Errorf("%v, want nothing of what ended", b)
	}
}

func TestSetsThatWaitAreBounded(t *testing.T) {
	var o outbox
	o.init()
	var all []report.Set
	for i := range 2 * report.MaxSets {
		all = append(all, endpoints(uint16(i), 1))
	}
	o.addSets(all)
	n := 0
	for b := sent(&o); b != nil; b = sent(&o) {
		if len(b.GetSets()) > maxBatchSets {
			t.Errorf("%d sets in a message, want at most %d", len(b.GetSets()), maxBatchSets)
		}
		n += len(b.GetSets())
	}
	if n != report.MaxSets {
		t.Errorf("%d sets were sent, want %d", n, report.MaxSets)
	}
}
