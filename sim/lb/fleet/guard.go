package fleet

import (
	"strconv"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/overload"
)

// guard is what stands before an application in the data path.
type guard struct {
	g       *overload.Guard
	turns   map[int32]*overload.Turn // by try
	spare   []*overload.Turn
	yielded []int32 // had to make room, and are to be told
	callers []string
}

// WeftGuard makes guards as a proxy of one loop has them.
func WeftGuard(g model.Guard) func() Guard {
	return func() Guard {
		return &guard{g: overload.New(&g, 1), turns: map[int32]*overload.Turn{}}
	}
}

func (g *guard) Arrive(now time.Duration, a Arrival) Verdict {
	for len(g.callers) <= int(a.Client) {
		g.callers = append(g.callers, "spiffe://mesh/ns/shop/sa/"+strconv.Itoa(len(g.callers)))
	}
	t := &overload.Turn{}
	if n := len(g.spare); n > 0 {
		t = g.spare[n-1]
		g.spare = g.spare[:n-1]
	}
	*t = overload.Turn{Owner: a.ID}
	v, yields := g.g.Arrive(now, t, &overload.Request{Caller: g.callers[a.Client], Priority: model.Priority(a.Class), Tree: a.Tree, Left: a.Left})
	if yields != nil {
		id := yields.Owner.(int32)
		g.yielded = append(g.yielded, id)
		g.forget(id)
	}
	switch v {
	case overload.Enter:
		g.turns[a.ID] = t
		return Pass
	case overload.Wait:
		g.turns[a.ID] = t
		return Wait
	}
	g.spare = append(g.spare, t)
	return Reject
}

// forget: a turn is at the guard no more.
func (g *guard) forget(id int32) {
	g.spare = append(g.spare, g.turns[id])
	delete(g.turns, id)
}

func (g *guard) Next(now time.Duration) (id int32, v Verdict, ok bool) {
	if n := len(g.yielded); n > 0 {
		id = g.yielded[n-1]
		g.yielded = g.yielded[:n-1]
		return id, Reject, true
	}
	if t := g.g.Expired(now); t != nil {
		id = t.Owner.(int32)
		g.forget(id)
		return id, Reject, true
	}
	if t := g.g.Next(now); t != nil {
		return t.Owner.(int32), Pass, true
	}
	return 0, Wait, false
}

func (g *guard) Wake(time.Duration) time.Duration {
	at, _ := g.g.Deadline()
	return at
}

func (g *guard) Finished(now time.Duration, id int32) {
	if t := g.turns[id]; t != nil {
		g.g.Answered(now, t, 0, true)
		g.forget(id)
	}
}

func (g *guard) Leave(now time.Duration, id int32) {
	if t := g.turns[id]; t != nil {
		g.g.Leave(now, t)
		g.forget(id)
	}
}
