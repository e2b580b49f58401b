//go:build linux

package attack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// h2vector is one row of the HTTP/2 tables: a request in frames, and what weft must make of it.
type h2vector struct {
	name string
	// head is names and values in their order, byte by byte in the frame as they are here. {id} as in
	// vector.
	head     []string
	data     []string // DATA frames; none: the head ends the stream
	trailers []string // names and values of a trailer section
	rfc      string

	// want is what weft does: accepted, a status of its own, or reset (RST_STREAM).
	want  int
	link  int    // the same on the link, where it becomes HTTP/1.1, if it differs
	alone string // why the peers are not asked
	// fields are lines that the application must have got, or with "!" must not have got.
	fields []string
}

const reset = -2 // of the stream

// plain is the head of an ordinary request.
func plain(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "app", ":path", "/{id}"}, more...)
}

// plainPost is one that has a body.
func plainPost(more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":authority", "app", ":path", "/{id}"}, more...)
}

// change is the head of an ordinary request with another value of a field, or without it if there is none.
func change(name string, value ...string) []string {
	kv := plain()
	i := slices.Index(kv, name)
	if len(value) == 0 {
		return slices.Delete(kv, i, i+2)
	}
	kv[i+1] = value[0]
	return kv
}

func withID(kv []string, id string) []string {
	out := make([]string, len(kv))
	for i := range kv {
		out[i] = strings.ReplaceAll(kv[i], "{id}", id)
	}
	return out
}

// frames is the vector on a stream.
func (v *h2vector) frames(stream uint32, id string, to []string) string {
	kv := withID(v.head, id)
	out := headers(stream, len(v.data) == 0 && v.trailers == nil, append(kv, to...)...)
	for i, d := range v.data {
		if i == len(v.data)-1 && v.trailers == nil {
			out += lastData(stream, d)
		} else {
			out += data(stream, d)
		}
	}
	if v.trailers != nil {
		out += headers(stream, true, withID(v.trailers, id)...)
	}
	return out
}

// send sends it on the next stream of h.
func (v *h2vector) send(h *h2conn, id string, to []string) (stream uint32) {
	stream = h.next
	h.next += 2
	_ = h.write(v.frames(stream, id, to))
	return stream
}

// h2outcome is what became of a vector.
type h2outcome struct {
	id     string
	stream stream
	lost   bool   // the connection ended
	why    string // of the GOAWAY
	after  error  // of an honest request on the same connection
}

func (v *h2vector) play(t testing.TB, h *h2conn, to []string, wait time.Duration) (o h2outcome) {
	o.id = fmt.Sprintf("v%05d", ids.Add(1))
	o.stream = h.result(v.send(h, o.id, to), wait)
	h.mu.Lock()
	o.lost, o.why = h.gone || h.away, h.debug
	h.mu.Unlock()
	if !o.lost && wait == patience { // peers are not held to that
		after := append([]string{":method", "GET", ":scheme", "http", ":authority", "app", ":path", "/" + o.id + "/after"}, to...)
		o.after = h.fine(after...)
	}
	return o
}

// verdict says in a word what a proxy made of it. records are what reached its backend: for each whether
// it is the request of the vector (or another), and whether it is well-formed and whole.
func (o *h2outcome) verdict(rec *recorder) string {
	whole := 0
	for _, r := range rec.about(o.id) {
		switch {
		case r.malformed != "":
			return "MALFORMED"
		case strings.Contains(r.target, "/smuggled"):
			return "SMUGGLED"
		case r.complete && r.target != "/"+o.id+"/after":
			whole++
		}
	}
	switch {
	case o.stream.reset && o.stream.code != codeNone:
		return "resets"
	case o.lost:
		return "goes away"
	case o.stream.status == "":
		return "waits"
	case o.stream.status >= "400":
		return o.stream.status
	case whole != 1:
		return fmt.Sprint(whole, " times")
	}
	return "accepts"
}

// attackH2Vectors sends a table to both fronts of a pair, and to the peers, and checks it all.
func attackH2Vectors(t *testing.T, rows []h2vector) {
	rec, h2 := newRecorder(t, nil), newH2Backend(t)
	x := newPair(t, rec.addr(), h2.addr(), "").warm()
	link := []string{"weft-to", rec.addr()}
	// An application's own HTTP/2 goes to an HTTP/2 application; a peer's becomes HTTP/1.1 here.
	outbound, inbound := make([]h2outcome, len(rows)), make([]h2outcome, len(rows))
	for i := range rows {
		outbound[i] = rows[i].play(t, newH2(t, dialFree(t, x.h2), settings()), nil, patience)
	}
	h := newH2(t, x.dialLink(t), settings()) // one link for all: it must survive all
	for i := range rows {
		inbound[i] = rows[i].play(t, h, link, patience)
	}
	for i := range rows {
		v := &rows[i]
		t.Run(v.name, func(t *testing.T) {
			t.Run("outbound", func(t *testing.T) {
				var got []string
				for _, r := range h2.about(outbound[i].id) {
					if r.path != "/"+outbound[i].id+"/after" && (r.complete || v.want != accepted && len(v.data) == 0) {
						got = append(got, v.fieldsOf(t, r.fields)...)
					}
				}
				outbound[i].check(t, v, got)
			})
			t.Run("link", func(t *testing.T) {
				v := *v
				v.want = cmp.Or(v.link, v.want)
				var got []string
				for _, r := range rec.about(inbound[i].id) {
					if r.malformed != "" || strings.Contains(r.target, "/smuggled") {
						t.Errorf("the application got %s", &r)
					}
					if r.target != "/"+inbound[i].id+"/after" && (r.complete || v.want != accepted && len(v.data) == 0) {
						got = append(got, r.head)
					}
				}
				inbound[i].check(t, &v, got)
			})
		})
	}
	t.Run("differential", func(t *testing.T) { differH2(t, rows, inbound, rec) })
}

// fieldsOf writes fields as lines.
func (v *h2vector) fieldsOf(t *testing.T, fields [][2]string) []string {
	t.Helper()
	var b strings.Builder
	for _, f := range fields {
		if strings.ContainsAny(f[0]+f[1], "\r\n\x00") {
			t.Errorf("the application got the field %q", f)
		}
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	return []string{b.String()}
}

// check holds weft to a row. got is the heads that reached the application.
func (o *h2outcome) check(t *testing.T, v *h2vector, got []string) {
	t.Helper()
	if v.rfc == "" {
		t.Error("the row does not say what the RFC says")
	}
	s := &o.stream
	switch {
	case o.lost:
		t.Errorf("the connection ended: %s\n%s", o.why, v.rfc)
		return
	case v.want == accepted && (s.status != "200" || !s.ended):
		t.Errorf("%s; want 200\n%s", s, v.rfc)
	case v.want == reset && (!s.reset || s.code == codeNone || s.status != ""):
		t.Errorf("%s; want to be reset\n%s", s, v.rfc)
	case v.want > accepted && s.status != fmt.Sprint(v.want):
		t.Errorf("%s; want %d\n%s", s, v.want, v.rfc)
	}
	if o.after != nil {
		t.Errorf("an honest request on the same connection: %v", o.after)
	}
	if n := len(got); (v.want == accepted) != (n == 1) || n > 1 {
		t.Errorf("the application got %d requests: %q\n%s", n, got, v.rfc)
	}
	for _, head := range got {
		for _, f := range v.fields {
			no := strings.HasPrefix(f, "!")
			if strings.Contains(strings.ToLower(head), strings.TrimPrefix(f, "!")) == no {
				t.Errorf("the application got %q; %q", head, f)
			}
		}
	}
}

// differH2 holds weft's conversion to HTTP/1.1 to a subset of what all peers accept.
func differH2(t *testing.T, rows []h2vector, mine []h2outcome, rec *recorder) {
	here := present(t)
	theirs := make([][]string, len(here))
	var wg sync.WaitGroup
	for p := range here {
		theirs[p] = make([]string, len(rows))
		conns := make([]*h2conn, len(rows)) // one each: some end theirs
		for i := range rows {
			conns[i] = newH2(t, dialFree(t, here[p].h2), settings())
		}
		wg.Go(func() {
			var each sync.WaitGroup
			turn := make(chan struct{}, 16)
			for i := range rows {
				turn <- struct{}{}
				each.Go(func() {
					defer func() { <-turn }()
					wait := unanswered
					if rows[i].want == accepted {
						wait = patience - 1
					}
					o := rows[i].play(t, conns[i], nil, wait)
					theirs[p][i] = o.verdict(here[p].rec)
				})
			}
			each.Wait()
		})
	}
	wg.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "%-56s %-10s", "", "weft")
	for _, p := range here {
		fmt.Fprintf(&table, " %-10s", p.name)
	}
	for i := range rows {
		if rows[i].alone != "" {
			continue
		}
		weft := mine[i].verdict(rec)
		for p := range here {
			if disputed(weft, theirs[p][i]) {
				seedFrames(t, settings()+rows[i].frames(1, "x", nil))
			}
		}
		fmt.Fprintf(&table, "\n%-56s %-10s", rows[i].name, weft)
		for p := range here {
			fmt.Fprintf(&table, " %-10s", theirs[p][i])
			if weft == "accepts" && theirs[p][i] != "accepts" {
				t.Errorf("%s: weft accepts, %s: %s\n%s", rows[i].name, here[p].name, theirs[p][i], rows[i].rfc)
			}
		}
	}
	t.Log("\n" + table.String())
}
