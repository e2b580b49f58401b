// Package shop is the application of the demo: a small shop of five services that know nothing
// of the mesh. Each is plain net/http, grpc or net; others are found in WEFT_<SERVICE>_URL.
//
//	load ─► web ─► catalog   (gRPC: unary, server streaming, bidirectional)
//	         ├───► ratings   (HTTP, versions v1 and v2 behind a weighted route; v2 has the planted fault)
//	         └───► cart ─► stock   (HTTP, then a TCP line protocol in which the server speaks first)
package shop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options of one service.
type Options struct {
	Listen  string                   // "127.0.0.1:port" where it serves
	Version string                   // of ratings: "v1" or "v2"
	Getenv  func(name string) string // where others are found
	// Listener, if not nil, is used instead of Listen.
	Listener net.Listener
}

// product is what the shop sells.
type product struct {
	sku, title string
	cents      int64
}

// products of the shop, in the order of the catalog.
var products = []product{
	{"tea", "Darjeeling, 100 g", 890}, {"mug", "Stoneware mug", 1450}, {"pot", "Teapot with strainer", 3900},
	{"tin", "Storage tin", 720}, {"spoon", "Measuring spoon", 450}, {"kettle", "Kettle, 1 l", 6900},
	{"tray", "Oak tray", 2800}, {"cloth", "Linen cloth", 990}, {"timer", "Sand timer", 1250}, {"book", "The Book of Tea", 1100},
}

// Services lists the names that Serve takes.
func Services() []string { return []string{"web", "cart", "catalog", "stock", "ratings"} }

// Serve runs one service until ctx ends, and then gives requests in flight a moment to finish.
func Serve(ctx context.Context, name string, o Options) error {
	if o.Listener == nil {
		l, err := Listen(o.Listen)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		o.Listener = l
	}
	switch name {
	case "web":
		h, done, err := newWeb(o.Getenv)
		if err != nil {
			return err
		}
		defer done()
		return serveHTTP(ctx, o.Listener, h)
	case "cart":
		h, err := newCart(o.Getenv)
		if err != nil {
			return err
		}
		return serveHTTP(ctx, o.Listener, h)
	case "ratings":
		return serveHTTP(ctx, o.Listener, newRatings(o.Version))
	case "catalog":
		return serveCatalog(ctx, o.Listener)
	case "stock":
		return serveStock(ctx, o.Listener)
	}
	return fmt.Errorf("the demo has no service %q; it has %s", name, strings.Join(Services(), ", "))
}

// drainTime is how long a stopping service waits for requests in flight.
const drainTime = 2 * time.Second

// serveHTTP serves HTTP/1.1 until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }() // ends by Shutdown or Close below
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := s.Shutdown(stop); err != nil {
		_ = s.Close() // what did not finish in time is cut
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// locate gives host:port and URL of another service, from its environment variable.
func locate(getenv func(string) string, service string) (*url.URL, error) {
	key := "WEFT_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_URL"
	v := getenv(key)
	if v == "" {
		return nil, fmt.Errorf("%s is not set: run this under `weft run`, or set it to where %s listens", key, service)
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s=%q is not a URL", key, v)
	}
	return u, nil
}
