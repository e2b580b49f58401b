//go:build linux

package flood

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/weft-mesh/weft/identity"
)

// newcomers are honest peers that make a new link to the callee for each request, one after the
// other: a mesh that scales out while it is attacked. A link must stand within the time that a
// proxy gives it.
type newcomers struct {
	world *world
	every time.Duration

	ledger ledger
}

// linkIn is how long a proxy waits for a link, connection and handshake (core.Limits.ConnectTimeout).
const linkIn = time.Second

// run goes on until ctx ends.
func (n *newcomers) run(ctx context.Context) {
	pair, bundle, err := identity.ReadHandover(bytes.NewReader([]byte(n.world.identity)), time.Now())
	if err != nil {
		n.ledger.note("new link", time.Now(), err)
		return
	}
	store := &identity.Store{}
	store.Set(pair, bundle)
	cfg := store.ClientConfig("")
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-tick.C:
			n.ledger.note("new link", due, n.ask(cfg))
		}
	}
}

// ask makes a link, asks once and closes it.
func (n *newcomers) ask(cfg *tls.Config) error {
	c, err := net.DialTimeout("tcp", n.world.link, linkIn)
	if err != nil {
		return err
	}
	defer abort(c)
	if err := c.SetDeadline(time.Now().Add(linkIn)); err != nil {
		return err
	}
	s := tls.Client(c, cfg)
	a := &attacker{order: order{Link: true, App: n.world.app}} // for the form of a request
	if _, err := s.Write(a.open([]byte(opening), 1, endStream, "/")); err != nil {
		return err
	}
	var h [9]byte
	for {
		if _, err := io.ReadFull(s, h[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, s, int64(h[0])<<16|int64(h[1])<<8|int64(h[2])); err != nil {
			return err
		}
		switch {
		case h[3] == 0x7 || h[3] == typeReset:
			return errors.New("the request was refused")
		case h[4]&endStream != 0 && h[3] <= typeHeaders:
			return nil
		}
	}
}

// window gives the slowest of those that were due in an interval.
func (n *newcomers) window(from, to time.Time) time.Duration {
	all := n.ledger.window(from, to)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1]
}
