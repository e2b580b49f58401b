//go:build linux

package flood

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/identity"
	"golang.org/x/sys/unix"
)

// attackerIP is where attackers connect from: in a mesh every workload has an address of its own.
const attackerIP = "127.0.0.2"

// order tells an attacker what to do.
type order struct {
	Attack   string
	Target   string  // address
	Link     bool    // Target takes links: TLS with Identity
	App      string  // what a request over a link is for
	Identity string  // PEM
	Share    float64 // of one core, at most
	Count    int     // connections, for attacks that hold many; 0: what the attack says
}

// attackReport is what an attacker says when it ends.
type attackReport struct {
	Conns   int64 // connections made
	Cut     int64 // of these, ended by the proxy
	Refused int64 // that could not be made
	CPU     time.Duration
	Wall    time.Duration
}

// attacker is an attack under way, in a process of its own.
type attacker struct {
	order
	tls   *tls.Config
	start time.Time
	began time.Duration // processor time at start

	conns, cut, refused atomic.Int64
}

// runAttack is the child's main function. It attacks until its input ends, and then ends itself with
// all its connections as a process does that is killed.
func runAttack(in io.Reader, out io.Writer) error {
	a := &attacker{}
	d := json.NewDecoder(in)
	if err := d.Decode(&a.order); err != nil {
		return err
	}
	var run func(*attacker)
	for i := range attacks {
		if attacks[i].name == a.Attack {
			run = attacks[i].run
		}
	}
	if run == nil {
		return fmt.Errorf("no such attack: %q", a.Attack)
	}
	if a.Link {
		pair, bundle, err := identity.ReadHandover(bytes.NewReader([]byte(a.Identity)), time.Now())
		if err != nil {
			return err
		}
		store := &identity.Store{}
		store.Set(pair, bundle)
		a.tls = store.ClientConfig("")
	}
	a.start, a.began = time.Now(), ownCPU()
	if err := json.NewEncoder(out).Encode("attacking"); err != nil {
		return err
	}
	go run(a) // ends with the process
	_, _ = io.Copy(io.Discard, in)
	return json.NewEncoder(out).Encode(attackReport{
		Conns: a.conns.Load(), Cut: a.cut.Load(), Refused: a.refused.Load(), CPU: ownCPU() - a.began, Wall: time.Since(a.start),
	})
}

// ownCPU is the processor time of this process, all its threads.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// pace waits while the attacker has had more than its share of a core. Every hand calls it before
// each step.
func (a *attacker) pace() {
	for {
		ahead := time.Duration(float64(ownCPU()-a.began)/a.Share) - time.Since(a.start)
		if ahead < time.Millisecond {
			return
		}
		time.Sleep(min(ahead, 20*time.Millisecond))
	}
}

// hands runs n loops of one step for ever.
func (a *attacker) hands(n int, step func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				a.pace()
				step()
			}
		})
	}
	wg.Wait()
}

// connect makes a TCP connection to the target.
func (a *attacker) connect() (net.Conn, bool) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(attackerIP)}, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { // ports are free for each destination, not each source
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
	}}
	c, err := d.Dial("tcp", a.Target)
	if err != nil {
		a.refused.Add(1)
		time.Sleep(time.Millisecond)
		return nil, false
	}
	a.conns.Add(1)
	return c, true
}

// dial makes a connection on which HTTP can be spoken: a link's TLS is set up.
func (a *attacker) dial() (net.Conn, bool) {
	c, ok := a.connect()
	if !ok || !a.Link {
		return c, ok
	}
	t := tls.Client(c, a.tls)
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if err := t.Handshake(); err != nil {
		a.refused.Add(1)
		_ = c.Close()
		return nil, false
	}
	_ = c.SetDeadline(time.Time{})
	return t, true
}

// abort closes a connection so that the proxy sees a reset.
func abort(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// discard reads what comes, until the connection ends.
func (a *attacker) discard(c net.Conn) {
	_, _ = io.Copy(io.Discard, c)
}

// pour writes what next gives, paced, until it gives nothing or the proxy ends the connection. What
// comes back is read and forgotten.
func (a *attacker) pour(c net.Conn, next func() []byte) {
	go a.discard(c)
	for p := next(); p != nil; p = next() {
		if _, err := c.Write(p); err != nil {
			a.cut.Add(1)
			break
		}
		a.pace()
	}
	abort(c)
}

// held is how many connections an attack holds that holds many.
func (a *attacker) held(otherwise int) int {
	if a.Count > 0 {
		return a.Count
	}
	return otherwise
}

// dribble keeps n connections: each is opened by begin, and then given next(i), the ith piece, every
// so often. Connections that the proxy ends are replaced.
func (a *attacker) dribble(n int, every time.Duration, begin func() (net.Conn, bool), next func(i int) []byte) {
	slots := make(chan struct{}, n)
	turn := func() { // one connection's life
		defer func() { <-slots }()
		c, ok := begin()
		if !ok {
			return
		}
		for i := 0; ; i++ {
			time.Sleep(every)
			a.pace()
			if p := next(i); p != nil {
				if _, err := c.Write(p); err != nil {
					a.cut.Add(1)
					abort(c)
					return
				}
			}
		}
	}
	for {
		a.pace()
		slots <- struct{}{}
		go turn()
	}
}
