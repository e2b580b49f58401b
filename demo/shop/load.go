package shop

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Ledger is what the load generator itself counted: the truth to which the mesh's numbers are
// held.
type Ledger struct {
	Sent    uint64            `json:"sent"`
	OK      uint64            `json:"ok"`
	Failed  uint64            `json:"failed"`
	Skipped uint64            `json:"skipped"` // not sent: maxInFlight were under way
	Reasons map[string]uint64 `json:"reasons,omitempty"`
	P50MS   float64           `json:"p50Ms"`
	P99MS   float64           `json:"p99Ms"`
}

const (
	// maxInFlight bounds what the generator has under way; beyond it, it skips and says so.
	maxInFlight = 64
	// maxReasons bounds the distinct texts kept of failures.
	maxReasons = 10
	// maxSamples bounds the latencies kept; beyond it every further one replaces a random one.
	maxSamples = 20_000
)

// Load visits the shop at a constant rate, whatever the answers take, until ctx ends; then it
// waits for what is under way. Rand decides which pages.
func Load(ctx context.Context, getenv func(string) string, perSecond float64, rnd *rand.Rand) (*Ledger, error) {
	base, err := locate(getenv, "web")
	if err != nil {
		return nil, err
	}
	if perSecond <= 0 || perSecond > 10_000 {
		return nil, fmt.Errorf("a rate of %v a second is outside of 0 to 10000", perSecond)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxInFlight
	defer transport.CloseIdleConnections()
	g := &generator{
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second}, base: base,
		ledger: Ledger{Reasons: map[string]uint64{}}, rnd: rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64())),
	}
	slots := make(chan struct{}, maxInFlight)
	every := time.Duration(float64(time.Second) / perSecond)
	// By schedule, not by ticker: a ticker drops what a busy machine made late, and with it the
	// load that would have shown the queue.
	due := time.Now()
	timer := time.NewTimer(every)
	defer timer.Stop()
	var work sync.WaitGroup
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			work.Wait()
			return g.close(), nil
		case <-timer.C:
		}
		due = due.Add(every)
		timer.Reset(time.Until(due.Add(every)))
		method, path, body := visit(rnd, n)
		select {
		case slots <- struct{}{}:
		default:
			g.skip()
			continue
		}
		work.Go(func() {
			defer func() { <-slots }()
			g.send(context.WithoutCancel(ctx), method, path, body)
		})
	}
}

// visit chooses one request: half of them product pages (which ask for ratings), and the rest
// the index, quotes and carts.
func visit(rnd *rand.Rand, n int) (method, path, body string) {
	sku := products[rnd.IntN(len(products))].sku
	id := fmt.Sprintf("c%d", n/8%100)
	switch k := rnd.IntN(20); {
	case k < 10:
		return http.MethodGet, "/products/" + sku, ""
	case k < 13:
		return http.MethodGet, "/", ""
	case k < 15:
		return http.MethodGet, "/quote?sku=" + sku + "&sku=mug&sku=tin", ""
	case k < 18:
		return http.MethodPost, "/cart/" + id + "/items", fmt.Sprintf(`{"sku":%q,"count":1}`, sku)
	}
	return http.MethodPost, "/cart/" + id + "/checkout", ""
}

// generator counts. mu guards ledger, samples and rnd.
type generator struct {
	client *http.Client
	base   *url.URL

	mu      sync.Mutex
	ledger  Ledger
	samples []time.Duration
	rnd     *rand.Rand
}

func (g *generator) skip() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ledger.Skipped++
}

// send makes one request and counts its outcome.
func (g *generator) send(ctx context.Context, method, path, body string) {
	begin := time.Now()
	reason := g.try(ctx, method, path, body)
	took := time.Since(begin)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ledger.Sent++
	if len(g.samples) < maxSamples {
		g.samples = append(g.samples, took)
	} else {
		g.samples[g.rnd.IntN(maxSamples)] = took
	}
	if reason == "" {
		g.ledger.OK++
		return
	}
	g.ledger.Failed++
	if _, known := g.ledger.Reasons[reason]; !known && len(g.ledger.Reasons) >= maxReasons {
		reason = "other"
	}
	g.ledger.Reasons[reason]++
}

// try makes one request; it gives "" or why it failed.
func (g *generator) try(ctx context.Context, method, path, body string) string {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(g.base.String(), "/")+path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := g.client.Do(req) //nolint:bodyclose // drain closes it
	if err != nil {
		return err.Error()
	}
	defer drain(resp.Body)
	if resp.StatusCode < 400 {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // the status says enough
	why := fmt.Sprintf("%s %s: %d %s", method, strings.SplitN(path, "?", 2)[0], resp.StatusCode, strings.TrimSpace(string(text)))
	if ps := resp.Header.Get("Proxy-Status"); ps != "" {
		why += " [" + ps + "]"
	}
	return why
}

func (g *generator) close() *Ledger {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.Sort(g.samples)
	at := func(q float64) float64 {
		if len(g.samples) == 0 {
			return 0
		}
		return float64(g.samples[int(q*float64(len(g.samples)-1))].Microseconds()) / 1000
	}
	g.ledger.P50MS, g.ledger.P99MS = at(0.50), at(0.99)
	out := g.ledger
	return &out
}
