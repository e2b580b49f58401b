package globallimit

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/globallimit/ratelimitpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a rate limit service that answers as it is told.
type service struct {
	ratelimitpb.UnimplementedRateLimitServiceServer
	answer *ratelimitpb.RateLimitResponse
	mute   bool
	asked  chan *ratelimitpb.RateLimitRequest
}

func (s *service) ShouldRateLimit(ctx context.Context, r *ratelimitpb.RateLimitRequest) (*ratelimitpb.RateLimitResponse, error) {
	s.asked <- r
	if s.mute {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.answer, nil
}

func start(t *testing.T, s *service) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.asked = make(chan *ratelimitpb.RateLimitRequest, 10)
	srv := grpc.NewServer()
	ratelimitpb.RegisterRateLimitServiceServer(srv, s)
	go srv.Serve(ln) //nolint:errcheck // ends with Stop
	t.Cleanup(srv.Stop)
	return ln.Addr().String()
}

func ask(t *testing.T, address string, l model.RateLimit, value string) (core.LimitAnswer, time.Duration) {
	t.Helper()
	l.Global = &model.GlobalLimit{Address: address, Domain: "weft", Timeout: time.Second}
	var c Client
	defer c.Close() //nolint:errcheck // nothing depends on it
	return c.Ask(t.Context(), core.LimitQuery{Limit: &l, Value: value})
}

func TestTheServiceSaysWhatIsAboveTheLimit(t *testing.T) {
	over := ratelimitpb.RateLimitResponse_OVER_LIMIT
	for _, c := range []struct {
		name   string
		answer *ratelimitpb.RateLimitResponse
		want   core.LimitAnswer
		wait   time.Duration
	}{
		{"below", &ratelimitpb.RateLimitResponse{OverallCode: ratelimitpb.RateLimitResponse_OK}, core.LimitPass, 0},
		{"above", &ratelimitpb.RateLimitResponse{OverallCode: over}, core.LimitOver, 0},
		{"above, for some time", &ratelimitpb.RateLimitResponse{OverallCode: over, Statuses: []*ratelimitpb.RateLimitResponse_DescriptorStatus{
			{Code: over, DurationUntilReset: durationpb.New(3 * time.Second)}}}, core.LimitOver, 3 * time.Second},
		{"nothing that is known", &ratelimitpb.RateLimitResponse{OverallCode: 17}, core.LimitError, 0},
		{"nothing", &ratelimitpb.RateLimitResponse{}, core.LimitError, 0},
	} {
		got, wait := ask(t, start(t, &service{answer: c.answer}), model.RateLimit{Name: "x"}, "")
		if got != c.want || wait != c.wait {
			t.Errorf("%s: %d, %v", c.name, got, wait)
		}
	}
}

func TestDescriptorsNameTheLimitAndTheValue(t *testing.T) {
	for _, c := range []struct {
		limit model.RateLimit
		want  [][2]string
	}{
		{model.RateLimit{Name: "all"}, [][2]string{{"generic_key", "all"}}},
		{model.RateLimit{Name: "who", By: model.LimitIdentity}, [][2]string{{"generic_key", "who"}, {"source_identity", "v"}}},
		{model.RateLimit{Name: "user", By: model.LimitHeader, Header: "x-user"}, [][2]string{{"generic_key", "user"}, {"x-user", "v"}}},
	} {
		s := &service{answer: &ratelimitpb.RateLimitResponse{OverallCode: ratelimitpb.RateLimitResponse_OK}}
		ask(t, start(t, s), c.limit, "v")
		r := <-s.asked
		if r.GetDomain() != "weft" || len(r.GetDescriptors()) != 1 || len(r.GetDescriptors()[0].GetEntries()) != len(c.want) {
			t.Fatalf("%s: asked %v", c.limit.Name, r)
		}
		for i, e := range r.GetDescriptors()[0].GetEntries() {
			if e.GetKey() != c.want[i][0] || e.GetValue() != c.want[i][1] {
				t.Errorf("%s: entry %d is %s=%s", c.limit.Name, i, e.GetKey(), e.GetValue())
			}
		}
	}
}

func TestAServiceThatIsNotThereOrSilentIsAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	ln.Close() //nolint:errcheck // nothing depends on it
	silent := start(t, &service{mute: true})
	for _, address := range []string{gone, silent} {
		l := model.RateLimit{Name: "x", Global: &model.GlobalLimit{Address: address, Timeout: 50 * time.Millisecond}}
		var c Client
		began := time.Now()
		if got, _ := c.Ask(t.Context(), core.LimitQuery{Limit: &l}); got != core.LimitError {
			t.Errorf("%s: answer %d", address, got)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", address, took)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheServicesOfAProxyAreBounded(t *testing.T) {
	var c Client
	for i := range 2 * maxServices {
		c.conn(net.JoinHostPort("127.0.0.1", string(rune('1'+i/10))+string(rune('0'+i%10)))) //nolint:errcheck // the count is looked at
	}
	if len(c.conns) != maxServices {
		t.Errorf("%d connections", len(c.conns))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.conn("127.0.0.1:1"); err == nil {
		t.Error("a closed client connects")
	}
}
