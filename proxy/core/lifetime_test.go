package core

import (
	"bytes"
	"testing"
	"time"
)

func TestALinkIsReplacedBeforeItsCertificateEnds(t *testing.T) {
	r := newRig(t, nil, Limits{LinkIdle: time.Hour, AppIdle: time.Hour, IdleTimeout: 4 * time.Hour})
	r.life = time.Minute
	c := r.dial()
	for range 10 { // two and a half lives, a request each 15 s
		roundTrip(t, r, c, rigRequest)
		r.pass(15*time.Second, 100*time.Millisecond)
	}
	if r.links < 3 || r.links > 5 {
		t.Errorf("%d links in two and a half lives of a certificate", r.links)
	}
}

func TestAStreamDoesNotOutliveTheCertificate(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.life = time.Minute
	r.mute = true
	c := r.dial()
	c.send(rigRequest)
	r.pass(59*time.Second, 100*time.Millisecond)
	if len(c.in) > 0 {
		t.Fatalf("answered %q before the certificate ended", c.in)
	}
	r.pass(2*time.Second, 100*time.Millisecond)
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 502 ")) {
		t.Errorf("after the certificate's end: %q", c.in)
	}
	if n := r.server.core.Conns(); n > 1 { // the application's connection may idle
		t.Errorf("%d connections are left at the callee's proxy", n)
	}
}

func TestAChangeOfRootsEndsLinksWithoutLosingARequest(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c, busy := r.dial(), r.dial()
	roundTrip(t, r, c, rigRequest)
	r.mute = true
	busy.send(rigRequest)
	r.settle()
	r.mute = false
	r.client.core.RetireLinks(0)
	r.server.core.RetireLinks(0)
	roundTrip(t, r, c, rigRequest)
	if r.links != 2 {
		t.Errorf("%d links, want a second one", r.links)
	}
	for _, p := range r.pipes { // the request that was under way is still answered
		if p.app && !p.gone && len(busy.in) == 0 {
			p.send(r.answer)
			r.settle()
		}
	}
	if !bytes.HasPrefix(busy.in, []byte("HTTP/1.1 200 ")) {
		t.Errorf("the request under way got %q", busy.in)
	}
}
