package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// check makes one request on the way to be measured and looks at the answer: a proxy that answers
// by itself, or cuts a body short, must not look fast.
func (l *lab) check(ctx context.Context, c benchCase, target string) error {
	switch {
	case c.proto == protoGRPC:
		return callGRPC(ctx, target, c.body, l.client.Dial)
	case c.proto == protoTCP && c.spec().bulk:
		return l.checkBulkTCP(ctx, target)
	case c.proto == protoTCP:
		return l.checkTCP(ctx, target, c.body.bytes())
	}
	_, err := l.get(ctx, c, target)
	return err
}

// get makes one HTTP request, checks its answer and gives the head of that.
func (l *lab) get(ctx context.Context, c benchCase, target string) (http.Header, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(c.proto != protoH2)
	protocols.SetUnencryptedHTTP2(c.proto == protoH2)
	tr := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return l.client.Dial(ctx, addr) }}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/"+string(c.body), nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || n != int64(c.body.bytes()) {
		return nil, fmt.Errorf("want 200 and %d bytes, have %s and %d", c.body.bytes(), resp.Status, n)
	}
	return resp.Header, nil
}

// dial connects to target from the client's side; the connection has the deadline of ctx.
func (l *lab) dial(ctx context.Context, target string) (net.Conn, error) {
	conn, err := l.client.Dial(ctx, target)
	if err != nil {
		return nil, err
	}
	if at, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(at); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// checkBulkTCP sends little to the backend for large bodies and takes little from it.
func (l *lab) checkBulkTCP(ctx context.Context, target string) error {
	for _, up := range []bool{false, true} {
		conn, err := l.dial(ctx, target)
		if err != nil {
			return err
		}
		err = moveTCP(conn, up, largeBytes)
		_ = conn.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) checkTCP(ctx context.Context, target string, size int) error {
	conn, err := l.dial(ctx, target)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	out := bytes.Repeat([]byte("w"), size)
	sent := make(chan error, 1)
	go func() { _, err := conn.Write(out); sent <- err }() // ends with the deadline or Close
	in := make([]byte, size)
	if _, err := io.ReadFull(conn, in); err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	if !bytes.Equal(in, out) {
		return fmt.Errorf("the echo differs from what was sent")
	}
	return nil
}
