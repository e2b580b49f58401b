package balance

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

const ms = time.Millisecond

func endpoint(i int) model.Endpoint {
	return model.Endpoint{
		Addr:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 8080),
		Link:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 15001),
		Identity: fmt.Sprintf("spiffe://mesh/ns/shop/sa/%d", i), Workload: model.Name{Namespace: "shop", Name: fmt.Sprint(i)},
	}
}

func endpoints(n int) []model.Endpoint {
	out := make([]model.Endpoint, n)
	for i := range out {
		out[i] = endpoint(i)
	}
	return out
}

// seeded gives the same random bits each time.
func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// policy is the default one, changed.
func policy(change func(*model.Policy)) *model.Policy {
	p := model.DefaultPolicy
	change(&p)
	return &p
}

// with is a set of n endpoints with a policy that is the default one, changed.
func with(n int, change func(*model.Policy)) *Set {
	s := &Set{}
	s.Configure(Config{Policy: policy(change)})
	s.Update(0, endpoints(n))
	return s
}

// warm gives every endpoint a sample.
func warm(s *Set, rtt time.Duration) {
	for _, e := range s.all {
		e.Start()
		e.Settle(0, rtt, false)
	}
}

// picked counts n picks without load.
func picked(s *Set, now time.Duration, n int, avoid *Endpoint) map[string]int {
	r, got := seeded(), map[string]int{}
	for range n {
		got[s.Pick(now, Request{Rand: r.Uint64(), Avoid: avoid}).Workload.Name]++
	}
	return got
}

func TestAnEmptySetHasNothingToPick(t *testing.T) {
	var s Set
	if e := s.Pick(0, Request{Rand: 1}); e != nil {
		t.Errorf("picked %v", e.Addr)
	}
	s.Update(0, endpoints(1))
	s.Update(0, nil)
	if e := s.Pick(0, Request{Rand: 1}); e != nil || s.Len() != 0 {
		t.Errorf("picked %v of %d", e, s.Len())
	}
}

func TestTheOnlyEndpointIsPickedEvenIfItIsToBeAvoided(t *testing.T) {
	var s Set
	s.Update(0, endpoints(1))
	if e := s.Pick(0, Request{Rand: 1, Avoid: s.all[0]}); e != s.all[0] {
		t.Errorf("picked %v", e)
	}
}

func TestEqualEndpointsGetEqualShares(t *testing.T) {
	for _, n := range []int{2, 3, 7, 11} {
		var s Set
		s.Update(0, endpoints(n))
		warm(&s, ms)
		const picks = 20_000
		for name, got := range picked(&s, 0, picks, nil) {
			if want := picks / n; got < want*9/10 || got > want*11/10 {
				t.Errorf("of %d endpoints, %s got %d of %d picks, want about %d", n, name, got, picks, want)
			}
		}
	}
}

func TestEveryPairIsComparedEquallyOften(t *testing.T) {
	var s Set
	s.Update(0, endpoints(4))
	warm(&s, ms)
	// The winner of a pair is known if each has another load: the lower number wins.
	for i, e := range s.all {
		e.Inflight = i
	}
	const picks = 60_000
	got := picked(&s, 0, picks, nil)
	for i, pairs := range []int{3, 2, 1, 0} { // of the 6 pairs, those that i wins
		want := picks * pairs / 6
		if n := got[fmt.Sprint(i)]; n < want*95/100 || n > want*105/100 {
			t.Errorf("endpoint %d won %d times, want about %d", i, n, want)
		}
	}
}

func TestASlowEndpointGetsLittle(t *testing.T) {
	var s Set
	s.Update(0, endpoints(3))
	warm(&s, ms)
	slow := s.all[1]
	slow.Start()
	slow.Settle(0, 100*ms, false)
	if n := picked(&s, 0, 1000, nil)["1"]; n != 0 {
		t.Errorf("it was picked %d times of 1000 right after a slow response", n)
	}
	for _, e := range s.all {
		if e != slow { // the others went on
			e.Start()
			e.Settle(60*time.Second, ms, false)
		}
	}
	if n := picked(&s, 60*time.Second, 1000, nil)["1"]; n == 0 {
		t.Error("it is never tried again")
	}
}

func TestAnEndpointThatFailsFastDoesNotLookCheap(t *testing.T) {
	var s Set
	s.Update(0, endpoints(3))
	warm(&s, 50*ms)
	bad := s.all[2]
	bad.Start()
	bad.Settle(0, 100*time.Microsecond, true)
	if n := picked(&s, 0, 1000, nil)["2"]; n != 0 {
		t.Errorf("it was picked %d times of 1000", n)
	}
}

func TestAFailureNeverImprovesAnEstimate(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, time.Minute} {
		e := &Endpoint{share: 1}
		e.Start()
		e.Settle(0, 5*time.Second, false)
		before := e.cost(after)
		e.Start()
		e.Settle(after, ms, true)
		if now := e.cost(after); now < before {
			t.Errorf("after %s, a failure took the cost from %v to %v", after, time.Duration(before), time.Duration(now))
		}
	}
}

func TestEstimatesAreQuickToFearAndSlowToForgive(t *testing.T) {
	e := &Endpoint{share: 1}
	settle := func(now, rtt time.Duration) time.Duration {
		e.Start()
		e.Settle(now, rtt, false)
		return time.Duration(e.ewma)
	}
	for _, step := range []struct {
		now, rtt time.Duration
		min, max time.Duration
	}{
		{0, 10 * ms, 10 * ms, 10 * ms},                            // the first sample is the estimate
		{0, 100 * ms, 100 * ms, 100 * ms},                         // worse news at once
		{0, 10 * ms, 100 * ms, 100 * ms},                          // better news weighs by the time that passed
		{10 * time.Second, 10 * ms, 42 * ms, 44 * ms},             // one tau: 10 + 90/e
		{1000 * time.Second, 10 * ms, 10 * ms, 10*ms + 1000},      // and at last
		{1000 * time.Second, -5 * ms, 10*ms - 1000, 10*ms + 1000}, // a time that went back does no harm
		{900 * time.Second, 20 * ms, 20 * ms, 20 * ms},            // nor in the other argument
	} {
		if got := settle(step.now, step.rtt); got < step.min || got > step.max {
			t.Errorf("at %s a sample of %s: estimate %s, want %s to %s", step.now, step.rtt, got, step.min, step.max)
		}
	}
	if e.Inflight != 0 {
		t.Errorf("%d in flight after all were settled", e.Inflight)
	}
}

func TestANewEndpointOfAFastServiceIsTriedAtOnceByOneRequest(t *testing.T) {
	var s Set
	s.Configure(Config{Policy: policy(func(p *model.Policy) { p.Balance.SlowStart = 0 })})
	s.Update(0, endpoints(2))
	warm(&s, ms)
	s.Update(0, endpoints(3))
	r := seeded()
	tried := 0
	for range 50 { // nothing is settled meanwhile
		if e := s.Pick(0, Request{Rand: r.Uint64()}); e.Workload.Name == "2" {
			e.Start()
			tried++
		}
	}
	if tried != 1 {
		t.Fatalf("the new endpoint got %d requests before it answered the first, want 1", tried)
	}
	for _, e := range s.all[:2] { // they answered meanwhile too
		e.Start()
		e.Settle(ms, ms, false)
	}
	s.all[2].Settle(ms, ms, false)
	for _, e := range s.all {
		e.ewma = float64(ms)
	}
	if n := picked(&s, ms, 3000, nil)["2"]; n < 800 {
		t.Errorf("after a good first response it got %d of 3000, want about 1000", n)
	}
}

func TestWeightsAreSharesWithoutLoad(t *testing.T) {
	for _, weights := range [][]uint32{{3, 1}, {1, 3}, {1, 1, 2}, {90, 10}, {0, 4}, {4_000_000_000, 1_000_000_000, 1_000_000_000}} {
		var s Set
		eps := endpoints(len(weights))
		var sum uint64
		for i := range eps {
			eps[i].Weight = weights[i]
			sum += uint64(max(weights[i], 1))
		}
		s.Update(0, eps)
		warm(&s, ms)
		const picks = 20_000
		got := picked(&s, 0, picks, nil)
		for i, w := range weights {
			want := int(picks * uint64(max(w, 1)) / sum)
			if n := got[fmt.Sprint(i)]; n < want*9/10 || n > want*11/10 {
				t.Errorf("weights %v: endpoint %d got %d, want about %d", weights, i, n, want)
			}
		}
	}
}

func TestWeightsAreSharesUnderLoad(t *testing.T) {
	var s Set
	eps := endpoints(4)
	eps[0].Weight = 6
	eps[1].Weight, eps[2].Weight, eps[3].Weight = 2, 2, 2
	s.Update(0, eps)
	warm(&s, ms)
	r := seeded()
	for range 1200 { // all at once, none settled
		s.Pick(0, Request{Rand: r.Uint64()}).Start()
	}
	for i, want := range []int{600, 200, 200, 200} {
		if got := s.all[i].Inflight; got < want*85/100 || got > want*115/100 {
			t.Errorf("endpoint %d has %d in flight, want about %d", i, got, want)
		}
	}
}

// Of two endpoints the lighter would be a candidate each time if the draws had to differ.
func TestALighterEndpointDoesNotGetMostForBeingALittleFaster(t *testing.T) {
	var s Set
	eps := endpoints(2)
	eps[0].Weight = 9
	s.Update(0, eps)
	warm(&s, ms)
	s.all[1].ewma *= 0.9
	if n := picked(&s, 0, 10_000, nil)["1"]; n > 2500 {
		t.Errorf("with a tenth of the weight it got %d of 10,000", n)
	}
}

func TestADrainingEndpointIsLeftAloneUnlessNothingElseIsLeft(t *testing.T) {
	var s Set
	eps := endpoints(3)
	eps[0].Draining = true
	s.Update(0, eps)
	if n := picked(&s, 0, 1000, nil)["0"]; n != 0 {
		t.Errorf("a draining endpoint was picked %d times", n)
	}
	eps[1].Draining, eps[2].Draining = true, true
	s.Update(0, eps)
	if got := picked(&s, 0, 1000, nil); len(got) != 3 {
		t.Errorf("when all drain, %v were picked, want all three", got)
	}
	eps[1].Draining = false
	s.Update(0, eps)
	if got := picked(&s, 0, 1000, nil); got["1"] != 1000 {
		t.Errorf("when one is back, %v were picked", got)
	}
}

func TestWhatIsToBeAvoidedIsNotPickedIfThereIsAnother(t *testing.T) {
	for _, weighted := range []bool{false, true} {
		for n := 2; n < 5; n++ {
			var s Set
			eps := endpoints(n)
			if weighted {
				eps[0].Weight = 1000
			}
			s.Update(0, eps)
			warm(&s, 100*ms)
			avoid := s.all[0]
			avoid.ewma = 1 // it looks best
			if got := picked(&s, 0, 1000, avoid)["0"]; got != 0 {
				t.Errorf("%d endpoints, weighted %v: it was picked %d times of 1000", n, weighted, got)
			}
		}
	}
}

func TestAnUpdateKeepsWhatIsKnownOfThoseThatStay(t *testing.T) {
	var s Set
	s.Update(0, endpoints(3))
	warm(&s, 7*ms)
	e := s.all[1]
	e.Start()
	e.Pool = "connections"
	changed := endpoints(3)
	changed[1].Weight, changed[1].Zone = 5, "b"
	if left := s.Update(time.Second, changed); len(left) != 0 {
		t.Errorf("%d left", len(left))
	}
	if s.all[1] != e || e.Pool != "connections" || e.Inflight != 1 || e.ewma != float64(7*ms) || e.Gone() {
		t.Errorf("the endpoint lost its state: %+v", e)
	}
	if e.Weight != 5 || e.Zone != "b" {
		t.Error("the endpoint did not take its new weight and zone")
	}
}

func TestAnAddressWithAnotherIdentityIsAnotherEndpoint(t *testing.T) {
	for _, change := range []struct {
		name string
		do   func(*model.Endpoint)
	}{
		{"identity", func(e *model.Endpoint) { e.Identity = "spiffe://mesh/ns/shop/sa/mallory" }},
		{"workload", func(e *model.Endpoint) { e.Workload.Name = "other" }},
		{"namespace", func(e *model.Endpoint) { e.Workload.Namespace = "other" }},
		{"link", func(e *model.Endpoint) { e.Link = netip.MustParseAddrPort("10.9.9.9:15001") }},
		{"no longer in the mesh", func(e *model.Endpoint) { e.Link = netip.AddrPort{} }},
		{"address", func(e *model.Endpoint) { e.Addr = netip.MustParseAddrPort("10.0.0.1:9") }},
	} {
		t.Run(change.name, func(t *testing.T) {
			var s Set
			s.Update(0, endpoints(3))
			old := s.all[1]
			old.Start()
			old.Pool = "connections to somebody else"
			eps := endpoints(3)
			change.do(&eps[1])
			left := s.Update(0, eps)
			if len(left) != 1 || left[0] != old || !old.Gone() {
				t.Fatalf("left: %v, want the old one alone", left)
			}
			if e := s.all[1]; e == old || e.Pool != nil || e.Inflight != 0 || e.Gone() {
				t.Errorf("the new one took over state: %+v", e)
			}
			old.Settle(time.Second, ms, false) // a late end does no harm
			if old.Inflight != 0 {
				t.Error("the old one does not settle")
			}
		})
	}
}

func TestThoseThatLeaveAreToldInTheSameOrderEachTime(t *testing.T) {
	for range 20 {
		var s Set
		s.Update(0, endpoints(50))
		left := s.Update(0, nil)
		if len(left) != 50 {
			t.Fatalf("%d left, want 50", len(left))
		}
		for i, e := range left {
			if e.Workload.Name != fmt.Sprint(i) {
				t.Fatalf("number %d is %s: a simulation would not repeat", i, e.Workload.Name)
			}
		}
	}
}

func TestOfTwoEndpointsThatAreTheSameTheFirstCounts(t *testing.T) {
	var s Set
	eps := append(endpoints(2), endpoints(2)...)
	eps[2].Weight, eps[3].Draining = 9, true
	for range 2 { // new, and known
		if s.Update(0, eps); s.Len() != 2 || s.all[0].Weight != 0 || s.all[1].Draining {
			t.Fatalf("%d endpoints: %+v", s.Len(), s.all)
		}
	}
}

func TestCancelTakesBackAStart(t *testing.T) {
	var e Endpoint
	e.Start()
	e.Cancel()
	if e.Inflight != 0 || e.ewma != 0 {
		t.Errorf("in flight %d, estimate %v", e.Inflight, e.ewma)
	}
}

// TestDrawingAgreesWithAWalk: each endpoint owns as many of the random values as its weight is of
// the sum, in order.
func TestDrawingAgreesWithAWalk(t *testing.T) {
	r := seeded()
	for _, n := range []int{2, 3, 8, 100} {
		eps := endpoints(n)
		for i := range eps {
			eps[i].Weight = uint32(1 + (i*7)%5)
		}
		eps[n-1].Weight = 50
		var s Set
		s.Update(0, eps)
		s.refresh(0)
		for range 10_000 {
			v := uint32(r.Uint64())
			want, sum := 0, uint64(0)
			for _, e := range s.all {
				sum += uint64(weightOf(e))
			}
			for x := uint64(v) * sum >> 32; x >= uint64(weightOf(s.near.eps[want])); want++ {
				x -= uint64(weightOf(s.near.eps[want]))
			}
			if got := s.near.draw(v); got != want {
				t.Fatalf("%d endpoints: %d drew %d, a walk gives %d", n, v, got, want)
			}
		}
	}
}
