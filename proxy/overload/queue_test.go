package overload

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

const ms = time.Millisecond

// full gives a Guard whose only place is taken.
func full(t *testing.T, queue int) (*Guard, *Turn) {
	t.Helper()
	cfg := adaptive()
	cfg.Concurrency = model.Concurrency{Min: 1, Max: 1, Tolerance: 1.5}
	cfg.Queue.Max = queue
	g := New(&cfg, 1)
	first := &Turn{Owner: "first"}
	if v, _ := g.Arrive(0, first, &Request{}); v != Enter {
		t.Fatalf("the first got %d", v)
	}
	return g, first
}

// wait brings a request that has to wait.
func wait(t *testing.T, g *Guard, now time.Duration, name string, r Request) *Turn {
	t.Helper()
	x := &Turn{Owner: name}
	if v, _ := g.Arrive(now, x, &r); v != Wait {
		t.Fatalf("%s got verdict %d", name, v)
	}
	return x
}

// turns gives the names of who enters one after the other.
func turns(g *Guard, now time.Duration, inside *Turn, n int) (out []string) {
	for range n {
		g.Answered(now, inside, 0, false)
		inside = g.Next(now)
		if inside == nil {
			break
		}
		out = append(out, inside.Owner.(string))
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestThoseWhoWaitAreServedByPriority(t *testing.T) {
	g, in := full(t, 100)
	wait(t, g, 0, "sheddable", Request{Priority: model.PrioritySheddable})
	wait(t, g, 0, "default", Request{})
	wait(t, g, 0, "other default", Request{})
	same(t, turns(g, ms, in, 9), "default", "other default", "sheddable")
}

// A critical request need not wait for what is less important.
func TestCriticalRequestsPassTheOthers(t *testing.T) {
	g, _ := full(t, 100)
	x := &Turn{}
	if v, _ := g.Arrive(0, x, &Request{Priority: model.PriorityCritical}); v != Enter {
		t.Fatalf("verdict %d", v)
	}
	wait(t, g, 0, "critical", Request{Priority: model.PriorityCritical})
	wait(t, g, 0, "plus", Request{Priority: model.PriorityCriticalPlus})
	same(t, turns(g, ms, x, 9), "plus", "critical")
}

func TestCallersAreServedInTurn(t *testing.T) {
	g, in := full(t, 100)
	for range 3 {
		wait(t, g, 0, "a", Request{Caller: "a"})
	}
	wait(t, g, 0, "b", Request{Caller: "b"})
	got := turns(g, ms, in, 9)
	if got[0] != "b" && got[1] != "b" {
		t.Errorf("b waits for all of a: %q", got)
	}
}

// Who had nothing waiting comes before those who keep a queue, wherever their turn is.
func TestACallerWithNothingWaitingComesFirst(t *testing.T) {
	for _, late := range []string{"b", "c", "d", "e", "f"} {
		g, in := full(t, 100)
		for range 3 {
			for _, id := range []string{"a", "x", "y"} {
				wait(t, g, 0, id, Request{Caller: id})
			}
		}
		for range 4 { // each has had a turn, one two
			g.Answered(ms, in, 0, false)
			in = g.Next(ms)
		}
		wait(t, g, ms, "late", Request{Caller: late})
		if got := turns(g, ms, in, 1); got[0] != "late" {
			t.Errorf("%s: %q came first", late, got)
		}
	}
}

// While there is a queue that does not pass, the last one comes first: the first have given up.
func TestTheLastComesFirstWhileTheQueueStands(t *testing.T) {
	g, in := full(t, 100)
	wait(t, g, 0, "1", Request{})
	wait(t, g, ms, "2", Request{})
	wait(t, g, 2*ms, "3", Request{})
	same(t, turns(g, 3*ms, in, 9), "1", "2", "3")

	g, in = full(t, 100)
	old := wait(t, g, 0, "old", Request{})
	wait(t, g, 99*ms, "1", Request{})
	wait(t, g, 101*ms, "2", Request{})
	if x := g.Expired(101 * ms); x != old {
		t.Fatalf("%v was sent away", x)
	}
	same(t, turns(g, 102*ms, in, 9), "2", "1")
}

func TestAWaitIsShortOnceTheQueueStands(t *testing.T) {
	g, _ := full(t, 100)
	a := wait(t, g, 0, "a", Request{})
	if at, _ := g.Deadline(); at != 100*ms {
		t.Errorf("the first of a new queue is sent away at %v", at)
	}
	b := wait(t, g, 97*ms, "b", Request{})
	if v, _ := g.Arrive(97*ms, &Turn{}, &Request{Priority: model.PriorityCritical}); v != Enter {
		t.Errorf("the critical one waits: %d", v)
	}
	d := wait(t, g, 98*ms, "d", Request{Priority: model.PriorityCritical})
	if x := g.Expired(100 * ms); x != a {
		t.Errorf("%v was sent away", x)
	}
	if at, _ := g.Deadline(); at != 102*ms {
		t.Errorf("the second is sent away at %v", at)
	}
	if x := g.Expired(102 * ms); x != b || g.Expired(150*ms) != nil {
		t.Errorf("%v was sent away", x)
	}
	if x := g.Expired(198 * ms); x != d {
		t.Errorf("%v was sent away", x)
	}
	if _, ok := g.Deadline(); ok {
		t.Error("somebody still waits")
	}
}

func TestAFullQueueLosesTheLeastImportantOfWhoHasMost(t *testing.T) {
	g, _ := full(t, 3)
	wait(t, g, 0, "b", Request{Caller: "b"})
	a := wait(t, g, 0, "a1", Request{Caller: "a"})
	wait(t, g, 0, "a2", Request{Caller: "a"})
	x := &Turn{}
	if v, y := g.Arrive(0, x, &Request{Caller: "b"}); v != Wait || y != a {
		t.Errorf("verdict %d, %v makes room", v, y)
	}
	if v, y := g.Arrive(0, &Turn{}, &Request{Priority: model.PrioritySheddable}); v != Full || y != nil {
		t.Errorf("the least important: verdict %d, %v makes room", v, y)
	}
	if s := g.State(); s.Waiting != 3 || s.Why[Full] != 2 || s.Refused[1] != 1 || s.Refused[0] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestWhoLeavesTheQueueIsForgotten(t *testing.T) {
	g, in := full(t, 100)
	a := wait(t, g, 0, "a", Request{})
	wait(t, g, 0, "b", Request{})
	g.Leave(0, a)
	g.Leave(0, a)
	same(t, turns(g, ms, in, 9), "b")
	g.Leave(0, in)
}

func TestEachCallerHasTheSameShareOfWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		name string
		want []int32
		room float64
		got  float64
	}{
		{"nobody", nil, 10, 0},
		{"all alike", []int32{10, 10}, 10, 5},
		{"one modest", []int32{2, 100, 100}, 22, 10},
		{"the modest leave to each other", []int32{1, 4, 100}, 11, 6},
	} {
		var w [flows]int32
		copy(w[:], c.want)
		if got := fairShare(&w, c.room); got != c.got {
			t.Errorf("%s: %v, want %v", c.name, got, c.got)
		}
	}
}

func TestPathsThatDifferInANumberAreOneKind(t *testing.T) {
	for _, p := range [][2]string{
		{"/items/17", "/items/2899"}, {"/items/17/price", "/items/18/price"}, {"/items?page=2", "/items?page=3"},
		{"/items/17?x", "/items/9"}, {"/u/4bf92f3577b34da6", "/u/00f067aa0ba902b7"},
	} {
		if KindOf([]byte(p[0])) != KindOf([]byte(p[1])) {
			t.Errorf("%s and %s are of two kinds", p[0], p[1])
		}
	}
	if KindOf([]byte("/items")) == KindOf([]byte("/report")) {
		t.Error("/items and /report are one kind")
	}
}
