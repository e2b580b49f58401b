package shop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts the whole shop without a mesh and gives the environment that finds it.
func open(t *testing.T, ratings string) func(string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	env := map[string]string{}
	getenv := func(k string) string { return env[k] }
	listeners := map[string]net.Listener{}
	for _, s := range Services() {
		l, err := Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[s] = l
		env["WEFT_"+strings.ToUpper(s)+"_URL"] = "http://" + l.Addr().String()
	}
	ended := make(chan error, len(listeners))
	for s, l := range listeners {
		go func() { ended <- Serve(ctx, s, Options{Listener: l, Version: ratings, Getenv: getenv}) }()
	}
	t.Cleanup(func() {
		stop()
		for range listeners {
			if err := <-ended; err != nil {
				t.Errorf("a service ended badly: %v", err)
			}
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return getenv
}

func TestAVisitorCanBuyEverything(t *testing.T) {
	getenv := open(t, "v1")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	ledger, err := Load(ctx, getenv, 400, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if ledger.Failed > 0 || ledger.Sent == 0 || ledger.Sent != ledger.OK {
		t.Errorf("ledger = %+v", ledger)
	}
}

func TestRatingsV2FailsForThreeProductsAndTheShopStaysOpen(t *testing.T) {
	getenv := open(t, "v2")
	failed := 0
	for _, p := range products {
		resp, err := http.Get(getenv("WEFT_RATINGS_URL") + "/ratings/" + p.sku)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == 500 {
			failed++
			if !strings.Contains(string(body), "no language") {
				t.Errorf("the failure does not say why: %s", body)
			}
		}
		page, err := http.Get(getenv("WEFT_WEB_URL") + "/products/" + p.sku)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Rating any }
		if err := json.NewDecoder(page.Body).Decode(&got); err != nil || page.StatusCode != 200 {
			t.Errorf("page of %s: %s, %v", p.sku, page.Status, err)
		}
		_ = page.Body.Close()
		if _, isText := got.Rating.(string); isText != (resp.StatusCode == 500) {
			t.Errorf("rating of %s is shown as %v after %d", p.sku, got.Rating, resp.StatusCode)
		}
	}
	if failed != 3 {
		t.Errorf("%d of %d products fail, wanted 3", failed, len(products))
	}
}

func TestTheStockServerSpeaksFirstAndKeepsCount(t *testing.T) {
	getenv := open(t, "v1")
	c, err := net.Dial("tcp", strings.TrimPrefix(getenv("WEFT_STOCK_URL"), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for _, step := range [][2]string{
		{"", "220 stock ready"},
		{"RESERVE tea 2", "250 9998 left"},
		{"RESERVE tea 100", "250 9898 left"},
		{"RESERVE tea 101", "500 want RESERVE SKU 1..100, or QUIT"},
		{"RESERVE gold 1", "550 no such product"},
		{"hello", "500 want RESERVE SKU 1..100, or QUIT"},
		{"QUIT", "221 bye"},
	} {
		if step[0] != "" {
			fmt.Fprintf(c, "%s\r\n", step[0])
		}
		line, err := in.ReadString('\n')
		if got := strings.TrimSpace(line); got != step[1] {
			t.Errorf("after %q: %q (%v), wanted %q", step[0], got, err, step[1])
		}
	}
}

func TestAReservedPortIsHeldForTheService(t *testing.T) {
	addr, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		t.Fatal("a reservation takes connections")
	}
	if l, err := net.Listen("tcp", addr); err == nil {
		_ = l.Close()
		t.Error("somebody else could take the reserved port")
	}
	l, err := Listen(addr)
	if err != nil {
		t.Fatalf("the service cannot listen on its reserved port: %v", err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		t.Fatalf("the service gets no connections: %v", err)
	}
	_ = c.Close()
}

func TestAServiceWithoutItsVariableSaysWhichIsMissing(t *testing.T) {
	err := Serve(context.Background(), "cart", Options{Listen: "127.0.0.1:0", Getenv: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), "WEFT_STOCK_URL") {
		t.Errorf("error = %v", err)
	}
}

func TestTheLoadGeneratorCountsWhatFailsAndWhy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Proxy-Status", "weft; error=connection_refused")
		http.Error(w, "nobody there", http.StatusServiceUnavailable)
	})}
	go func() { _ = s.Serve(l) }() // ends by Close
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	ledger, err := Load(ctx, func(string) string { return "http://" + l.Addr().String() }, 200, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if ledger.Sent == 0 || ledger.Failed != ledger.Sent {
		t.Errorf("ledger = %+v", ledger)
	}
	for reason := range ledger.Reasons {
		if reason != "other" && !strings.Contains(reason, "connection_refused") {
			t.Errorf("reason %q leaves out what the proxy said", reason)
		}
	}
}
