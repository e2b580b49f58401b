// Package globallimit asks the services that keep rate limits for all proxies, by Envoy's rate limit
// protocol (envoy.service.ratelimit.v3). Questions are asked on goroutines of the drivers, never on a
// loop; each has a deadline.
//
// The connections are plain: a service on another machine is to be reached through the mesh, or on a
// network that is trusted.
package globallimit

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/globallimit/ratelimitpb"
)

const (
	// maxServices bounds the addresses that are connected to.
	maxServices = 16
	// timeout is that of a policy which has none; see model.GlobalLimit.
	timeout    = 20 * time.Millisecond
	maxTimeout = time.Second
	// maxAnswer bounds an answer's size.
	maxAnswer = 64 << 10
)

// Keys of the descriptors that are asked about. The name of the limit is always first.
const (
	KeyName     = "generic_key"
	KeyIdentity = "source_identity" // with model.LimitIdentity; with LimitHeader the key is the field's name
)

// Client asks services. The zero value is ready. Safe for concurrent use.
type Client struct {
	mu     sync.Mutex // guards what follows; a leaf
	conns  map[string]*grpc.ClientConn
	closed bool
}

// errTooMany is of a policy that names more services than a proxy asks.
var errTooMany = errors.New("more rate limit services than a proxy connects to")

// Ask asks about one request. It gives the answer, and for a request above the limit when the limit
// begins anew, if the service said so. It takes no longer than the limit's timeout.
func (c *Client) Ask(ctx context.Context, q core.LimitQuery) (core.LimitAnswer, time.Duration) {
	g := q.Limit.Global
	d := g.Timeout
	if d <= 0 {
		d = timeout
	}
	ctx, cancel := context.WithTimeout(ctx, min(d, maxTimeout))
	defer cancel()
	conn, err := c.conn(g.Address)
	if err != nil {
		return core.LimitError, 0
	}
	resp, err := ratelimitpb.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, request(q))
	if err != nil {
		return core.LimitError, 0
	}
	switch resp.GetOverallCode() {
	case ratelimitpb.RateLimitResponse_OK:
		return core.LimitPass, 0
	case ratelimitpb.RateLimitResponse_OVER_LIMIT:
		var wait time.Duration
		for _, s := range resp.GetStatuses() {
			if s.GetCode() == ratelimitpb.RateLimitResponse_OVER_LIMIT {
				wait = max(wait, s.GetDurationUntilReset().AsDuration())
			}
		}
		return core.LimitOver, min(wait, 24*time.Hour)
	}
	return core.LimitError, 0
}

// request makes the question.
func request(q core.LimitQuery) *ratelimitpb.RateLimitRequest {
	d := &ratelimitpb.Descriptor{Entries: []*ratelimitpb.Descriptor_Entry{{Key: KeyName, Value: q.Limit.Name}}}
	switch q.Limit.By {
	case model.LimitIdentity:
		d.Entries = append(d.Entries, &ratelimitpb.Descriptor_Entry{Key: KeyIdentity, Value: q.Value})
	case model.LimitHeader:
		d.Entries = append(d.Entries, &ratelimitpb.Descriptor_Entry{Key: q.Limit.Header, Value: q.Value})
	}
	return &ratelimitpb.RateLimitRequest{Domain: q.Limit.Global.Domain, Descriptors: []*ratelimitpb.Descriptor{d}}
}

// conn gives the connection to a service, made at the first use.
func (c *Client) conn(address string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cc := c.conns[address]; cc != nil {
		return cc, nil
	}
	if c.closed {
		return nil, grpc.ErrServerStopped
	}
	if len(c.conns) >= maxServices {
		return nil, errTooMany
	}
	cc, err := grpc.NewClient("dns:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // http_proxy may point at this very proxy
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: 3 * time.Second},
			MinConnectTimeout: time.Second,
		}),
	)
	if err != nil {
		return nil, err
	}
	if c.conns == nil {
		c.conns = map[string]*grpc.ClientConn{}
	}
	c.conns[address] = cc
	return cc, nil
}

// Close ends all connections. Questions fail from then on.
func (c *Client) Close() error {
	c.mu.Lock()
	conns := c.conns
	c.conns, c.closed = nil, true
	c.mu.Unlock()
	var errs []error
	for _, cc := range conns {
		errs = append(errs, cc.Close())
	}
	return errors.Join(errs...)
}
