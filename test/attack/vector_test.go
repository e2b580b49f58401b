//go:build linux

package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// vector is one row of the HTTP/1.1 tables: what a client sends, and what weft must make of it.
type vector struct {
	name string
	// send is every byte. {id} stands for a name that is unique to this row and proxy, by which the
	// backend's records are told apart: the request target is /{id}, a hidden second request is /{id}/smuggled.
	send string
	rfc  string // what the RFC says of it, with the section
	// want is what weft does: accepted, waits, or the status with which it refuses.
	want int

	body    string   // accepted: what the backend must have got as the body
	trailer string   // accepted: the trailer lines that the backend must have got
	also    []string // accepted: targets of further requests in send, which are to be answered too
	behind  string   // accepted: bytes of send that belong to the next request's method
	ends    bool     // accepted: the connection ends behind the response
	stays   bool     // refused for what it asks, not for how it is framed: the connection goes on
	cut     bool     // refused within its body: the backend may have seen a head, but never a whole request
	alone   string   // why the peers are not asked
}

const (
	accepted = 200
	waits    = -1 // for bytes that do not come
)

// hidden is the request that an attacker wants to smuggle in.
const hidden = "GET /{id}/smuggled HTTP/1.1\r\nHost: app\r\n\r\n"

// get is a request with more field lines, post one with a body that they frame.
func get(fields string) string { return "GET /{id} HTTP/1.1\r\nHost: app\r\n" + fields + "\r\n" }

func post(fields, body string) string {
	return "POST /{id} HTTP/1.1\r\nHost: app\r\n" + fields + "\r\n" + body
}

func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// unanswered is how long a proxy that does not answer is listened to before it counts as waiting.
const unanswered = time.Second

// outcome is what became of a vector at one proxy.
type outcome struct {
	id     string
	answer answer
	err    error    // no answer: errSilent, io.EOF, or what is no response
	more   []string // bodies of the answers to vector.also
	after  string   // body of the answer to an honest request on the same connection
	closed bool     // the connection ended
}

var ids atomic.Int32

// play sends a vector to a proxy.
func play(v *vector, addr string, wait time.Duration) (o outcome) {
	o.id = fmt.Sprintf("v%05d", ids.Add(1))
	c, err := net.Dial("tcp", addr)
	if err != nil {
		o.err = err
		return o
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(wait))
	_, _ = io.WriteString(c, strings.ReplaceAll(v.send, "{id}", o.id)) // may be cut off by the answer
	method, _, _ := strings.Cut(strings.TrimLeft(v.send, "\r\n"), " ")
	br := bufio.NewReader(c)
	if o.answer, o.err = readAnswer(c, br, method, wait); o.err != nil {
		o.closed = !errors.Is(o.err, errSilent)
		return o
	}
	for range v.also {
		a, err := readAnswer(c, br, "GET", wait)
		if err != nil {
			a.body = err.Error()
		}
		o.more = append(o.more, a.body)
	}
	if o.answer.status >= 400 && !v.stays || o.answer.close {
		o.closed = ended(c, wait)
		return o
	}
	// Is the connection what it should be? An honest request tells: its answer must be its own.
	_, _ = fmt.Fprintf(c, "GET /%s/after HTTP/1.1\r\nHost: app\r\n\r\n", o.id)
	a, err := readAnswer(c, br, "GET", wait)
	switch {
	case err != nil:
		o.after, o.closed = err.Error(), errors.Is(err, io.EOF)
	default:
		o.after = fmt.Sprintf("%d %s", a.status, a.body)
	}
	return o
}

// playAll sends all vectors, some at a time.
func playAll(rows []vector, addr string, wait func(*vector) time.Duration) []outcome {
	out := make([]outcome, len(rows))
	turn := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i := range rows {
		turn <- struct{}{}
		wg.Go(func() {
			out[i] = play(&rows[i], addr, wait(&rows[i]))
			<-turn
		})
	}
	wg.Wait()
	return out
}

// verdict says in a word what a proxy made of a vector, by its answer and by what reached its backend.
func (o *outcome) verdict(rec *recorder) string {
	whole, broken := 0, ""
	for _, r := range rec.about(o.id) {
		switch {
		case r.malformed != "":
			broken = "MALFORMED"
		case strings.Contains(r.target, "/smuggled"):
			broken = "SMUGGLED"
		case r.complete && r.target == "/"+o.id:
			whole++
		}
	}
	switch {
	case broken != "":
		return broken
	case whole > 1:
		return "TWICE"
	case errors.Is(o.err, errSilent):
		return "waits"
	case o.err != nil:
		return "closes"
	case o.answer.status >= 400:
		return fmt.Sprint(o.answer.status)
	case whole == 0:
		return "answers itself"
	}
	return "accepts"
}

// attackH1 sends a table to the caller's proxy of a new pair and to the peers, and checks it all.
func attackH1(t *testing.T, rows []vector) {
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), "", "").warm()
	mine := playAll(rows, x.h1, func(v *vector) time.Duration {
		if v.want == waits {
			return unanswered / 2
		}
		return patience
	})
	// Whatever was sent by then has arrived when an honest request has been answered.
	if err := x.honestH1("/honest"); err != nil {
		t.Errorf("an honest request afterwards: %v", err)
	}
	for i := range rows {
		t.Run(rows[i].name, func(t *testing.T) { mine[i].check(t, &rows[i], rec) })
	}
	if slices.ContainsFunc(rows, func(v vector) bool { return v.alone == "" }) {
		t.Run("differential", func(t *testing.T) { differ(t, rows, mine, rec) })
	}
}

// check holds weft to what a row says.
func (o *outcome) check(t *testing.T, v *vector, rec *recorder) {
	t.Helper()
	if v.rfc == "" {
		t.Error("the row does not say what the RFC says")
	}
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("sent %q: %s\n%s", cut(v.send), fmt.Sprintf(format, args...), v.rfc)
	}
	targets := map[string]int{}
	for _, r := range rec.about(o.id) {
		r.target, _, _ = strings.Cut(r.target, "?")
		switch {
		case r.malformed != "":
			fail("the backend got what is not HTTP: %s", &r)
		case v.stays && r.target == "/"+o.id+"/after":
			continue
		case v.want == accepted && !r.complete, v.want != accepted && (r.complete || !v.cut):
			fail("the backend got %s", &r)
		}
		if r.complete {
			targets[r.target]++
		}
		if r.complete && r.target == "/"+o.id && (r.body != v.body || r.trailers != strings.ReplaceAll(v.trailer, "{id}", o.id)) {
			fail("the backend got body %q and trailers %q, want %q and %q", cut(r.body), r.trailers, cut(v.body), v.trailer)
		}
	}
	switch {
	case v.want == waits:
		if !errors.Is(o.err, errSilent) {
			fail("status %d, %v; want to be waited for", o.answer.status, o.err)
		}
		return
	case o.err != nil || o.answer.status != v.want:
		fail("status %d, %v; want %d", o.answer.status, o.err, v.want)
		return
	case v.want != accepted:
		if after := "200 GET /" + o.id + "/after"; v.stays && o.after != after {
			fail("an honest request behind it is answered %q", o.after)
		} else if !v.stays && !o.closed {
			fail("the connection goes on")
		}
		if o.answer.header.Get("weft-code") == "" || o.answer.header.Get("proxy-status") == "" {
			fail("the refusal does not say who made it and why: %v", o.answer.header)
		}
		return
	}
	want := map[string]int{"/" + o.id: 1}
	for i, path := range v.also {
		path = strings.ReplaceAll(path, "{id}", o.id)
		want[path] = 1
		if _, got, _ := strings.Cut(o.more[i], " "); got != path {
			fail("answer %d is %q, want that to %s", i+2, o.more[i], path)
		}
	}
	if _, got, _ := strings.Cut(o.answer.body, " "); strings.SplitN(got, "?", 2)[0] != "/"+o.id && !strings.HasPrefix(v.send, "HEAD") {
		fail("the answer is %q, want that to /%s", cut(o.answer.body), o.id)
	}
	if v.ends != o.closed {
		fail("the connection ended: %v, want %v (%s)", o.closed, v.ends, o.after)
	}
	if !v.ends {
		want["/"+o.id+"/after"] = 1
		if o.after != "200 "+v.behind+"GET /"+o.id+"/after" {
			fail("an honest request behind it is answered %q", o.after)
		}
	}
	if fmt.Sprint(targets) != fmt.Sprint(want) {
		fail("the backend got the requests %v, want %v", targets, want)
	}
}

// differ holds weft to a subset of what all peers accept.
func differ(t *testing.T, rows []vector, mine []outcome, rec *recorder) {
	here := present(t)
	asked := rows[:0:0]
	var index []int
	for i, v := range rows {
		if v.alone == "" {
			asked, index = append(asked, v), append(index, i)
		}
	}
	theirs := make([][]outcome, len(here))
	var wg sync.WaitGroup
	for p := range here {
		wg.Go(func() {
			theirs[p] = playAll(asked, here[p].h1, func(v *vector) time.Duration {
				if v.want == accepted { // then its verdict matters: a slow machine must not change it
					return patience
				}
				return unanswered
			})
		})
	}
	wg.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "%-52s %-10s", "", "weft")
	for _, p := range here {
		fmt.Fprintf(&table, " %-10s", p.name)
	}
	for k, i := range index {
		weft := mine[i].verdict(rec)
		fmt.Fprintf(&table, "\n%-52s %-10s", rows[i].name, weft)
		for p := range here {
			their := theirs[p][k].verdict(here[p].rec)
			if disputed(weft, their) {
				seed(t, "h1", "FuzzRequestsAgainstNetHTTP", bytesArg(rows[i].send))
			}
			fmt.Fprintf(&table, " %-10s", their)
			if weft == "accepts" && their != "accepts" {
				t.Errorf("%s: weft accepts, %s: %s (%s)\nsent %q\n%s", rows[i].name, here[p].name, their, theirs[p][k].err, cut(rows[i].send), rows[i].rfc)
			}
		}
	}
	t.Log("\n" + table.String())
}
