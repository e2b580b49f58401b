//go:build linux

package flood

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// honest is a client that asks at a fixed rate whatever becomes of the answers, as many independent
// users do. Each worker is a thread with a connection of its own that sleeps in the kernel until its
// next request is due: the runtime's timers are up to a millisecond late. The time of a request
// counts from when it was due, so that one that had to wait for the one before it is not spared.
type honest struct {
	addr     string
	workers  int
	every    time.Duration // between two requests of one worker
	newEvery int           // one of so many requests makes a new connection; 0: none but the first

	ledger ledger

	mu  sync.Mutex  // guards due
	due []time.Time // of each worker's request that is not answered yet
}

// answerIn bounds the wait for an answer: later is failed.
const answerIn = 5 * time.Second

// run asks until ctx ends.
func (h *honest) run(ctx context.Context) {
	var wg sync.WaitGroup
	start := time.Now().Add(time.Millisecond)
	h.mu.Lock()
	h.due = make([]time.Time, h.workers)
	for i := range h.due {
		h.due[i] = start
	}
	h.mu.Unlock()
	for i := range h.workers {
		wg.Go(func() {
			// Threads with a deadline each: what the runtime does beside them must not count.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			h.work(ctx, i, start.Add(h.every*time.Duration(i)/time.Duration(h.workers)))
		})
	}
	wg.Wait()
}

func (h *honest) work(ctx context.Context, i int, due time.Time) {
	var kept socket
	defer func() { kept.close() }()
	for n := 1; ; n++ {
		h.mu.Lock()
		h.due[i] = due
		h.mu.Unlock()
		if wait := time.Until(due); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&ts, nil)
		}
		if ctx.Err() != nil {
			return
		}
		if h.newEvery > 0 && n%h.newEvery == 0 {
			kept.close()
		}
		err := kept.ask(h.addr)
		h.ledger.note("request to "+h.addr, due, err)
		if err != nil {
			kept.close()
		}
		due = due.Add(h.every)
	}
}

// window gives the times of the requests that were due in an interval, sorted. Those that are not
// answered yet, or could not even be sent because the one before them is not, count with the time that
// they have waited: who gets no answer at all has not been fast.
func (h *honest) window(from, to time.Time) []time.Duration {
	all := h.ledger.window(from, to)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for _, due := range h.due {
		for ; due.Before(to) && due.Before(now); due = due.Add(h.every) {
			if !due.Before(from) {
				all = append(all, now.Sub(due))
			}
		}
	}
	slices.Sort(all)
	return all
}

// once asks once, on a connection of its own.
func (h *honest) once() error {
	var s socket
	defer s.close()
	return s.ask(h.addr)
}

// socket is a blocking connection with HTTP/1.1 on it. The zero value connects at its first request.
type socket struct {
	fd  int
	up  bool
	buf []byte
}

var honestRequest = []byte("GET / HTTP/1.1\r\nHost: app\r\n\r\n")

// ask sends a request and reads the answer.
func (s *socket) ask(addr string) error {
	if !s.up {
		if err := s.connect(addr); err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
	}
	if err := s.write(honestRequest); err != nil {
		return err
	}
	return s.answer()
}

func (s *socket) connect(addr string) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	if s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	s.up = true
	tv := unix.NsecToTimeval(int64(answerIn))
	for _, o := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} { // the latter bounds connect too
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, o, &tv); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	for {
		err := unix.Connect(s.fd, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()})
		if err != unix.EINTR {
			return err
		}
	}
}

func (s *socket) write(p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(s.fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

var (
	headEnd     = []byte("\r\n\r\n")
	status200   = []byte("HTTP/1.1 200 ")
	lengthField = []byte("content-length: ")
)

// answer reads one response of status 200 with a content-length.
func (s *socket) answer() error {
	if s.buf == nil {
		s.buf = make([]byte, 4096)
	}
	for got := 0; ; {
		n, err := unix.Read(s.fd, s.buf[got:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return errors.New("the connection was closed")
		}
		got += n
		p := s.buf[:got]
		end := bytes.Index(p, headEnd)
		if end < 0 {
			continue
		}
		if !bytes.HasPrefix(p, status200) {
			return fmt.Errorf("the answer is %.900q", p)
		}
		at := bytes.Index(bytes.ToLower(p[:end+2]), lengthField)
		if at < 0 {
			return fmt.Errorf("no length in %.200q", p)
		}
		digits, _, _ := bytes.Cut(p[at+len(lengthField):], []byte("\r"))
		want, err := strconv.Atoi(string(digits))
		if err != nil {
			return err
		}
		if got == end+len(headEnd)+want {
			return nil
		}
	}
}

func (s *socket) close() {
	if s.up {
		s.up = false
		_ = unix.Close(s.fd)
	}
}
