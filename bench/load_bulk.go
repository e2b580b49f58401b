package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// loadBulk moves n bytes to ("up") or from target on one connection, and checks that all arrived.
// begin is called when the connection is there and has carried a little.
func loadBulk(ctx context.Context, p protocol, up bool, target string, n int64, begin func() error) (loadResult, error) {
	if p == protoTCP {
		return loadBulkTCP(ctx, up, target, n, begin)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(p == protoH1)
	protocols.SetUnencryptedHTTP2(p == protoH2)
	tr := &http.Transport{Protocols: protocols, WriteBufferSize: bulkChunk, ReadBufferSize: bulkChunk, DisableCompression: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	if err := moveHTTP(ctx, client, up, target, bulkChunk); err != nil {
		return loadResult{}, err
	}
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	start := time.Now()
	if err := moveHTTP(ctx, client, up, target, n); err != nil {
		return loadResult{}, err
	}
	return loadResult{requests: 1, bytes: n, duration: time.Since(start)}, nil
}

func moveHTTP(ctx context.Context, c *http.Client, up bool, target string, n int64) error {
	method, url, body := http.MethodGet, "http://"+target+"/zeros/"+strconv.FormatInt(n, 10), io.Reader(nil)
	if up {
		method, url, body = http.MethodPost, "http://"+target+"/sink", io.LimitReader(endless{}, n)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if up {
		req.ContentLength = n
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("answered %s: %s", resp.Status, rig.Excerpt(text))
	}
	var got int64
	if up {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 32))
		if err != nil {
			return err
		}
		if got, err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return fmt.Errorf("no word of how much arrived: %w", err)
		}
	} else if got, err = drain(resp.Body); err != nil {
		return err
	}
	if got != n {
		return fmt.Errorf("%w: %d of %d bytes arrived", errShort, got, n)
	}
	return nil
}

// endless reads zeros for ever.
type endless struct{}

// Read implements io.Reader and never fails.
func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func loadBulkTCP(ctx context.Context, up bool, target string, n int64, begin func() error) (loadResult, error) {
	// A first connection makes what the proxies keep between them; the one that counts is another.
	if _, err := tunnel(ctx, up, target, bulkChunk, func() error { return nil }); err != nil {
		return loadResult{}, err
	}
	d, err := tunnel(ctx, up, target, n, begin)
	return loadResult{requests: 1, bytes: n, duration: d}, err
}

// tunnel moves n bytes on a connection of its own and says how long that took after begin.
func tunnel(ctx context.Context, up bool, target string, n int64, begin func() error) (time.Duration, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := begin(); err != nil {
		return 0, err
	}
	start := time.Now()
	err = moveTCP(c, up, n)
	return time.Since(start), err
}
