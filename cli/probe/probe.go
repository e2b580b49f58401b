// Package probe is the client side of `weft ping`: it runs inside the mesh, as the application of
// a short-lived workload, and asks a service through that workload's own proxy. What it proves
// is therefore what any caller with this identity would get: that the name resolves, that the
// two proxies let each other in, and that an application answers.
package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Target is what is asked.
type Target struct {
	Proxy    string // host:port of the workload's proxy, which takes absolute-form and CONNECT requests
	Host     string // "service.namespace"
	Port     uint32
	Protocol string // "http", "http2", "grpc", "tcp", "tls", "detect"
	Path     string // of HTTP requests; "" means "/"
}

// Attempt is one ping. With Error set nothing answered.
type Attempt struct {
	Seq      int     `json:"seq"`
	Answered bool    `json:"answered"`         // by the application
	Evidence string  `json:"evidence"`         // what came back
	TotalMS  float64 `json:"totalMs"`          // from the first byte out to the answer
	Status   int     `json:"status,omitempty"` // of HTTP
	Refusal  string  `json:"refusal,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// greetingWait is how long a TCP server may take to speak first; most never do.
const greetingWait = 250 * time.Millisecond

// Once makes one attempt within ctx.
func Once(ctx context.Context, t Target, seq int) Attempt {
	a := Attempt{Seq: seq}
	begin := time.Now()
	var err error
	switch t.Protocol {
	case "grpc", "http2":
		err = t.overHTTP2(ctx, &a)
	case "tcp", "tls":
		err = t.overTCP(ctx, &a, &begin)
	default:
		err = t.overHTTP(ctx, &a)
	}
	if a.TotalMS == 0 {
		a.TotalMS = millis(time.Since(begin))
	}
	if err != nil {
		a.Error = err.Error()
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			a.Error = "no answer in time"
		}
	}
	return a
}

// overHTTP sends OPTIONS in absolute form, as any HTTP client with http_proxy does.
func (t Target) overHTTP(ctx context.Context, a *Attempt) error {
	proxy := &url.URL{Scheme: "http", Host: t.Proxy}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	return t.exchange(ctx, tr, a)
}

// overHTTP2 sends OPTIONS with prior knowledge, inside of a CONNECT tunnel. A gRPC server
// answers it with an error of its own, which is an answer.
func (t Target) overHTTP2(ctx context.Context, a *Attempt) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{
		Protocols: protocols,
		// With the attempt's context: the one that is handed in outlives the request.
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, _, err := t.tunnel(ctx)
			return c, err
		},
	}
	defer tr.CloseIdleConnections()
	return t.exchange(ctx, tr, a)
}

func (t Target) exchange(ctx context.Context, tr *http.Transport, a *Attempt) error {
	path := t.Path
	if path == "" {
		path = "/"
	}
	u := "http://" + net.JoinHostPort(t.Host, strconv.FormatUint(uint64(t.Port), 10)) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, u, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "weft-ping")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // the head was the answer
	a.Status = resp.StatusCode
	// A proxy that answers itself says so (RFC 9209); the status is then not the application's.
	if ps := resp.Header.Get("Proxy-Status"); ps != "" {
		a.Refusal = ps
		return fmt.Errorf("a proxy answered %d itself", resp.StatusCode)
	}
	a.Answered, a.Evidence = true, resp.Proto+" "+resp.Status
	return nil
}

// overTCP opens a tunnel and waits a moment: a server that speaks first is heard, one that waits
// keeps the connection, and a path that leads nowhere is cut.
func (t Target) overTCP(ctx context.Context, a *Attempt, begin *time.Time) error {
	c, r, err := t.tunnel(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	opened := time.Since(*begin)
	wait := time.Now().Add(greetingWait)
	if d, ok := ctx.Deadline(); ok && d.Before(wait) {
		wait = d
	}
	_ = c.SetReadDeadline(wait)
	line := make([]byte, 64)
	n, err := r.Read(line)
	switch {
	case n > 0:
		a.TotalMS = millis(time.Since(*begin))
		a.Answered, a.Evidence = true, fmt.Sprintf("the server speaks first: %q", line[:n])
	case errors.Is(err, os.ErrDeadlineExceeded):
		a.TotalMS = millis(opened)
		a.Answered, a.Evidence = true, fmt.Sprintf("the connection is open, and stayed so for %s", greetingWait)
	default:
		return fmt.Errorf("the connection was closed at once: %w", err)
	}
	return nil
}

// tunnel asks the proxy for a CONNECT tunnel. What the server sent already is in r.
func (t Target) tunnel(ctx context.Context) (c net.Conn, r *bufio.Reader, err error) {
	var d net.Dialer
	c, err = d.DialContext(ctx, "tcp", t.Proxy)
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	to := net.JoinHostPort(t.Host, strconv.FormatUint(uint64(t.Port), 10))
	if _, err = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weft-ping\r\n\r\n", to, to); err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	r = bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // the answer to CONNECT has none; the tunnel follows
	if err != nil {
		_ = c.Close()
		return nil, nil, fmt.Errorf("CONNECT: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = c.Close()
		why := resp.Header.Get("Proxy-Status")
		return nil, nil, fmt.Errorf("CONNECT was answered %s %s", resp.Status, why)
	}
	_ = c.SetDeadline(time.Time{})
	return &buffered{Conn: c, r: r}, r, nil
}

// buffered reads first what came with the answer to CONNECT.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
