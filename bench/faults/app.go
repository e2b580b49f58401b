package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// The applications: servers of one process, each at an address of its own, that do as they are told on
// a pipe, a line each:
//
//	N fault F    server N (from 0) has fault F from now on
//	N well       and now it has none
//	count        the number of requests that all were given is written as a line
//
// Each line is answered by one. Requests for healthPath are not counted: proxies make them.
type server struct {
	addr netip.AddrPort
	mode atomic.Int32 // fault + 1; 0: well
	got  *atomic.Uint64

	mu    sync.Mutex // guards what follows
	ln    net.Listener
	conns map[net.Conn]struct{}
}

// serveApps listens at each address, says so with a line on out, and obeys in until it ends.
func serveApps(addrs []netip.AddrPort, in io.Reader, out io.Writer) error {
	var got atomic.Uint64
	servers := make([]*server, len(addrs))
	for i := range servers {
		servers[i] = &server{addr: addrs[i], got: &got, conns: map[net.Conn]struct{}{}}
		if err := servers[i].listen(); err != nil {
			return err
		}
		defer servers[i].gone()
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if lines.Text() == "count" {
			if _, err := fmt.Fprintln(out, got.Load()); err != nil {
				return err
			}
			continue
		}
		if err := obey(servers, lines.Text()); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, "done"); err != nil {
			return err
		}
	}
	return lines.Err()
}

// obey does what a line says about one server.
func obey(servers []*server, line string) error {
	var i, f int
	if _, err := fmt.Sscanf(line, "%d fault %d", &i, &f); err != nil {
		f = -1
		if _, err := fmt.Sscanf(line, "%d well", &i); err != nil {
			return fmt.Errorf("%q is no command", line)
		}
	}
	if i < 0 || i >= len(servers) {
		return fmt.Errorf("%q: there are %d servers", line, len(servers))
	}
	s := servers[i]
	was := fault(s.mode.Swap(int32(f+1)) - 1)
	switch {
	case f >= 0 && fault(f) == faultGone:
		s.gone()
	case was == faultGone:
		return s.listen()
	}
	return nil
}

// listen serves until gone.
func (s *server) listen() error {
	ln, err := net.Listen("tcp", s.addr.String())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.ln = ln
	s.mu.Unlock()
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ConnState: s.track}
	go srv.Serve(ln) //nolint:errcheck // it ends when gone closes the listener
	return nil
}

// track keeps the connections, for gone.
func (s *server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
	case http.StateActive, http.StateIdle:
	}
}

// gone closes the listener and resets every connection, as a crash does.
func (s *server) gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil {
		s.ln.Close() //nolint:errcheck // nothing can be done
		s.ln = nil
	}
	for c := range s.conns {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0) //nolint:errcheck // then it ends politely
		}
		c.Close() //nolint:errcheck // nothing can be done
	}
	clear(s.conns)
}

// ServeHTTP answers after the time that the server takes, unless its caller goes away.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != healthPath {
		s.got.Add(1)
	}
	takes := serviceBase + time.Duration(rand.ExpFloat64()*float64(serviceMean))
	if m := s.mode.Load(); m > 0 {
		switch fault(m - 1) {
		case faultSlow:
			takes = slowTime
		case faultTenfold:
			takes *= 10
		case faultErrors:
			http.Error(w, "on purpose", http.StatusInternalServerError)
			return
		case faultSwallowed, faultGone:
		}
	}
	if rest(r.Context(), takes) {
		io.WriteString(w, "hello\n") //nolint:errcheck // the client went away
	}
}

// rest waits; false: ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// apps is the client of a process of serveApps.
type apps struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// healthPath is where proxies ask whether a server is well.
const healthPath = "/health"

var errWords = errors.New("the servers did not answer as they should")

// say sends a line and gives the line that answers it.
func (a *apps) say(line string) (string, error) {
	if _, err := fmt.Fprintln(a.in, line); err != nil {
		return "", err
	}
	return a.word()
}

func (a *apps) word() (string, error) {
	line, err := a.out.ReadString('\n')
	if err != nil {
		return "", err
	}
	return line[:len(line)-1], nil
}

// set gives a server a fault, or with nil none.
func (a *apps) set(i int, f *fault) error {
	line := fmt.Sprintf("%d well", i)
	if f != nil {
		line = fmt.Sprintf("%d fault %d", i, *f)
	}
	word, err := a.say(line)
	if err == nil && word != "done" {
		err = fmt.Errorf("%w: %q", errWords, word)
	}
	return err
}

// count is how many requests the servers were given so far.
func (a *apps) count() (n uint64, err error) {
	word, err := a.say("count")
	if err == nil {
		if _, err = fmt.Sscan(word, &n); err != nil {
			err = fmt.Errorf("%w: %q", errWords, word)
		}
	}
	return n, err
}
