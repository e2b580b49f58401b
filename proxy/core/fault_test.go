package core

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/h2"
)

// faulty is the default policy with faults that every request gets unless they say otherwise.
func faulty(faults ...model.Fault) *model.Policy {
	for i := range faults {
		if faults[i].PerMillion == 0 {
			faults[i].PerMillion = 1_000_000
		}
	}
	return callsWith(func(c *model.Calls) { c.Faults = faults })
}

func TestAnAbortAnswersAndConfesses(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{Status: 418}))
	w.open()
	got := w.get()
	if !strings.HasPrefix(got, "HTTP/1.1 418 ") || fieldOf(got, "weft-code") != "W3330" || !strings.Contains(fieldOf(got, "proxy-status"), "W3330") {
		t.Errorf("got %q", got)
	}
	if w.served["cart"] != 0 {
		t.Error("the application was asked nevertheless")
	}
	if n := w.refused("W3330"); n != 1 {
		t.Errorf("counted %d times", n)
	}
	if len(w.client.core.series) != 0 {
		t.Error("it counts among the requests of the service")
	}
}

func TestAbortsOfGRPCRequestsAreStatusesOfGRPC(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault model.Fault
		grpc  string // of a gRPC request; "": it reaches the application
		plain string // of another
	}{
		{"grpc-status given", model.Fault{GRPC: 14}, "14", "200"},
		{"status given", model.Fault{Status: 503}, "14", "503"},
		{"both given", model.Fault{Status: 404, GRPC: 8}, "8", "404"},
		{"status that means nothing to gRPC", model.Fault{Status: 418}, "2", "418"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t)
			w.add("cart", 1, faulty(c.fault))
			w.open()
			if got := w.get("Content-Type: application/grpc"); !strings.HasPrefix(got, "HTTP/1.1 200 ") || fieldOf(got, "grpc-status") != c.grpc {
				t.Errorf("gRPC got %q", got)
			}
			if got := w.get(); !strings.HasPrefix(got, "HTTP/1.1 "+c.plain+" ") {
				t.Errorf("HTTP got %q", got)
			}
		})
	}
}

func TestADelayComesBeforeAnythingElse(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{Delay: 2 * time.Second}, model.Fault{Delay: time.Second, Headers: []model.ValueMatch{{Name: "x-slow", Value: "y.*", Regex: true}}}))
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\nX-Slow: yes\r\n\r\n"))
	w.settle()
	w.now += 2900 * time.Millisecond
	w.settle()
	if len(c.in) > 0 || w.served["cart"] > 0 {
		t.Fatalf("after 2.9 s of 3: %q, %v", c.in, w.served)
	}
	w.now += 110 * time.Millisecond
	w.settle() // the delay ends
	w.settle()
	if bodyOf(string(c.in)) != "cart-0" {
		t.Errorf("after the delay: %q", c.in)
	}
	if w.refused("W3333") != 1 {
		t.Error("it is not counted")
	}
}

func TestADelayAndThenAnAbort(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{Delay: time.Second, Status: 503}))
	w.open()
	c := w.dial()
	c.send([]byte("POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 5\r\n\r\nhe"))
	w.settle()
	if len(c.in) > 0 {
		t.Fatalf("at once: %q", c.in)
	}
	c.send([]byte("llo"))
	w.now += 1010 * time.Millisecond
	w.settle()
	if !strings.HasPrefix(string(c.in), "HTTP/1.1 503 ") {
		t.Errorf("got %q", c.in)
	}
}

func TestADelayCountsAgainstTheTimeoutOfTheRoute(t *testing.T) {
	w := newTown(t)
	route := split("cart", 1)
	calls := faulty(model.Fault{Delay: 10 * time.Second}).Calls
	calls.Timeouts.Request = time.Second
	route.Rules[0].Calls = &calls
	w.add("cart", 1, nil, route)
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	w.now += 1010 * time.Millisecond
	w.settle()
	if !strings.HasPrefix(string(c.in), "HTTP/1.1 504 ") {
		t.Fatalf("got %q", c.in)
	}
	w.now += 10 * time.Second
	w.settle()
	if w.served["cart"] > 0 {
		t.Error("the application is asked after all")
	}
}

func TestWhoGivesUpDuringADelayIsNotServed(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{Delay: 2 * time.Second}))
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	w.client.core.Closed(c.other.conn, nil)
	w.now += 3 * time.Second
	w.settle()
	if w.served["cart"] > 0 {
		t.Error("the application is asked nevertheless")
	}
}

func TestAResetEndsTheStreamOrTheConnection(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{Reset: true}))
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	if len(c.in) > 0 || !c.eof {
		t.Errorf("HTTP/1 got %q, end %v", c.in, c.eof)
	}
	d := newH2End(t, w.dial(), h2.Config{Role: h2.Client})
	if _, err := d.conn.Open(&message.Request{Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte("cart"), Path: []byte("/"), ContentLength: -1}, true); err != nil {
		t.Fatal(err)
	}
	d.flush()
	w.settle()
	d.take()
	if len(d.resets) != 1 || len(d.statuses) != 0 || d.p.eof {
		t.Errorf("HTTP/2 got resets %v, statuses %v, end %v", d.resets, d.statuses, d.p.eof)
	}
	if w.served["cart"] != 0 || w.refused("W3332") != 2 {
		t.Errorf("served %d, counted %d", w.served["cart"], w.refused("W3332"))
	}
}

func TestAResponseIsSlowedToItsRate(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{BytesPS: 1000}))
	body := strings.Repeat("b", 10_000)
	w.answer = func(string, string) string { return answerWith(body) }
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	if !strings.HasPrefix(string(c.in), "HTTP/1.1 200 ") {
		t.Fatalf("the head waits: %q", c.in)
	}
	begin := w.now
	for len(bodyOf(string(c.in))) < len(body) {
		w.now += 10 * time.Millisecond
		w.settle()
		got, due := len(bodyOf(string(c.in))), int((w.now-begin)/time.Millisecond)
		if got > due+1 || got < min(due-60, len(body)) {
			t.Fatalf("after %v: %d bytes", w.now-begin, got)
		}
		if w.now-begin > 11*time.Second {
			t.Fatal("it does not end")
		}
	}
	if bodyOf(string(c.in)) != body {
		t.Error("the body is not the one that was sent")
	}
	c.in = c.in[:0] // the connection goes on
	w.answer = func(string, string) string { return answerWith("x") }
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	w.now += 30 * time.Millisecond
	w.settle()
	if bodyOf(string(c.in)) != "x" {
		t.Errorf("then came %q", c.in)
	}
	if w.refused("W3334") != 2 {
		t.Error("it is not counted")
	}
}

func TestASlowedResponseHoldsABoundedPartInMemory(t *testing.T) {
	for _, c := range []struct{ rate, piece, bound int }{
		{100_000, 16 << 10, 64 << 10},
		{4 << 20, 256 << 10, 320 << 10}, // what is passed on fills the client's side each time
	} {
		w := newTown(t)
		w.add("cart", 1, faulty(model.Fault{BytesPS: c.rate}))
		w.slow = true // or the client's side never tells that it has room again
		const total = 64 << 20
		w.answer = func(string, string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n" }
		w.open()
		client := w.dial()
		client.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
		w.settle()
		var app *pipe
		for _, p := range w.pipes {
			if p.app {
				app = p
			}
		}
		piece := []byte(strings.Repeat("p", c.piece))
		sent, most := 0, 0
		for range 200 {
			if sent < total && !app.other.paused {
				app.send(piece)
				sent += len(piece)
			}
			w.now += 10 * time.Millisecond
			w.settle()
			most = max(most, sent-len(bodyOf(string(client.in))))
		}
		if most > c.bound {
			t.Errorf("at %d bytes a second up to %d are held", c.rate, most)
		}
		if got := len(bodyOf(string(client.in))); got < c.rate*2*7/10 || got > c.rate*2*102/100 {
			t.Errorf("at %d bytes a second %d came in 2 s", c.rate, got)
		}
		w.client.core.Closed(client.other.conn, nil)
		w.settle()
		if !app.eof && !app.gone {
			t.Error("the application goes on after the client left")
		}
	}
}

func TestAPauseOfTheSenderIsNotMadeUpFor(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{BytesPS: 1000}))
	w.answer = func(string, string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nx" }
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	w.now += 5 * time.Second
	w.settle()
	for _, p := range w.pipes {
		if p.app {
			p.send([]byte(strings.Repeat("p", 1999)))
		}
	}
	w.settle()
	w.now += 100 * time.Millisecond
	w.settle()
	if n := len(bodyOf(string(c.in))); n < 50 || n > 110 {
		t.Errorf("%d bytes came within 100 ms of the pause's end", n)
	}
}

func TestASlowedResponseThatBreaksOffIsNotTakenForAWholeOne(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{BytesPS: 10}))
	w.answer = func(string, string) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("p", 1000)
	}
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	w.settle()
	for _, p := range w.pipes {
		if p.app {
			p.other.eof = true
		}
	}
	w.settle()
	if !c.eof || len(bodyOf(string(c.in))) >= 5000 {
		t.Errorf("end %v, got %q", c.eof, c.in)
	}
}

func TestOnlyRequestsThatMatchGetAFault(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, faulty(model.Fault{Status: 503, Headers: []model.ValueMatch{{Name: "x-test", Value: "1"}}}))
	w.open()
	if got := w.get(); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
	if got := w.get("X-Test: 1"); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("got %q", got)
	}
}
