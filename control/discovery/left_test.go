package discovery

import (
	"context"
	"log/slog"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
)

// TestAProxyThatLeftIsNotMissed: a process that ended in order is nothing that a person should
// look into; one that vanished is.
func TestAProxyThatLeftIsNotMissed(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(s *Server, p *proxy)
		shown bool
	}{
		{"it vanished", func(s *Server, p *proxy) { s.leave(p) }, true},
		{"it said goodbye, then its stream ended", func(s *Server, p *proxy) { s.Left("shop/web-1", "i1"); s.leave(p) }, false},
		{"its stream ended, then it said goodbye", func(s *Server, p *proxy) { s.leave(p); s.Left("shop/web-1", "i1") }, false},
		{"the goodbye was its predecessor's", func(s *Server, p *proxy) { s.Left("shop/web-1", "i0"); s.leave(p) }, true},
		{"its successor is there", func(s *Server, p *proxy) {
			s.Left("shop/web-1", "i1")
			enter(t, s, "i2")
			s.leave(p)
		}, true},
		{"it is still on its way out", func(s *Server, _ *proxy) { s.Left("shop/web-1", "i1") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			s := New("e", newWorld(t).put("cart", 1).snap(), func(context.Context) (string, string) { return "uid 0", "" },
				func() time.Time { return now }, slog.New(slog.DiscardHandler))
			p := enter(t, s, "i1")
			c.end(s, p)
			if got := len(s.Proxies()) == 1; got != c.shown {
				t.Errorf("shown: %v, want %v", got, c.shown)
			}
			s.Left("nobody", "i1") // harmless
		})
	}
}

func enter(t *testing.T, s *Server, instance string) *proxy {
	t.Helper()
	p, err := s.enter(t.Context(), func() {}, &pb.Hello{Proxy: "shop/web-1", Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
