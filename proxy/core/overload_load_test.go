package core

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// busyApp is an application of 16 workers that take 20 ms for each request, in the order in which they
// come: 800 a second.
type busyApp struct {
	g       *guardRig
	waiting []*pipe
	working []struct {
		p    *pipe
		done time.Duration
	}
	most int // had at once
}

func (a *busyApp) request(p *pipe, _ []byte) { a.waiting = append(a.waiting, p) }

// turn ends what is done and begins what can be.
func (a *busyApp) turn() {
	for len(a.working) > 0 && a.working[0].done <= a.g.now {
		a.working[0].p.send(a.g.answer)
		a.working = a.working[1:]
	}
	a.most = max(a.most, len(a.waiting)+len(a.working))
	for len(a.waiting) > 0 && len(a.working) < 16 {
		a.working = append(a.working, struct {
			p    *pipe
			done time.Duration
		}{a.waiting[0], a.g.now + 20*time.Millisecond})
		a.waiting = a.waiting[1:]
	}
}

// asker is a client's connection with a request under way.
type asker struct {
	c        *pipe
	came     time.Duration
	critical bool
}

// The whole data path under five times the load that its application can take: callers, link, guard,
// application. The application does nine tenths of its best, who is served is served soon, and
// nothing critical is lost.
func TestAnApplicationUnderFiveTimesItsLoadGoesOnWorking(t *testing.T) {
	p := model.DefaultPolicy
	p.Guard.Concurrency.Adaptive = true
	both(t, &p, func(t *testing.T, g *guardRig) {
		app := &busyApp{g: g}
		g.app = app.request
		var idle []*pipe
		var busy []asker
		const begins, settled, ends = time.Second, 3500 * time.Millisecond, 5500 * time.Millisecond
		served, critical, lost := 0, 0, 0
		var longest time.Duration
		send := func(critical bool) {
			if len(idle) == 0 {
				idle = append(idle, g.dial())
			}
			c := idle[len(idle)-1]
			idle = idle[:len(idle)-1]
			line := ""
			if critical {
				line = "weft-priority: critical\r\n"
			}
			c.send([]byte("GET /items HTTP/1.1\r\nHost: cart\r\n" + line + "\r\n"))
			busy = append(busy, asker{c, g.now, critical})
		}
		for tick := 0; g.now < ends; tick++ {
			g.now = time.Duration(tick) * time.Millisecond
			switch {
			case g.now > begins:
				for range 4 {
					send(false)
				}
				fallthrough
			case tick%5 == 0:
				if tick%5 == 0 {
					send(true)
				}
			}
			app.turn()
			g.settle()
			left := busy[:0]
			for _, a := range busy {
				if len(a.c.in) == 0 {
					left = append(left, a)
					continue
				}
				ok := strings.HasPrefix(string(a.c.in), "HTTP/1.1 200 ")
				a.c.in = a.c.in[:0]
				idle = append(idle, a.c)
				if a.critical {
					critical++
					if !ok {
						lost++
					}
				}
				if ok && g.now > settled {
					served++
				}
				if ok && a.came > settled {
					longest = max(longest, g.now-a.came)
				}
			}
			busy = left
		}
		rate := float64(served) / (ends - settled).Seconds()
		t.Logf("%.0f answers a second, the longest took %v, %d critical, %d at the application at most; %+v", rate, longest, critical, app.most, g.state(t).State)
		if rate < 0.9*800 {
			t.Errorf("%.0f answers a second, want 0.9 of 800", rate)
		}
		if longest > time.Second { // three tries, of which each may wait, and pauses between them
			t.Errorf("one took %v", longest)
		}
		if lost > 0 || critical < 800 {
			t.Errorf("%d of %d critical requests were lost", lost, critical)
		}
	})
}
