//go:build linux

package process

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The limits that the project promises.
const (
	maxProxyMB   = 15 // resident, idle
	maxControlMB = 60 // resident, idle
	maxBinaryMB  = 25 // weft-proxy, stripped
)

// TestWeftIsLean: what a proxy and a control plane cost that have nothing to do.
func TestWeftIsLean(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	shop := w.serve("shop", "http", nil, "one")
	me := w.call("me")
	me.until(me.client(), "http://shop/") // idle, not unborn
	st, err := os.Stat(filepath.Join(bin, "weft-proxy"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what string
		got  float64
		most float64
	}{
		{"resident memory of the callee's proxy", rss(t, shop.proxy), maxProxyMB},
		{"resident memory of the caller's proxy", rss(t, me.proxy), maxProxyMB},
		{"resident memory of the control plane", rss(t, w.up.cmd.Process.Pid), maxControlMB},
		{"size of weft-proxy", float64(st.Size()) / 1e6, maxBinaryMB},
	} {
		t.Logf("%s: %.1f MB, at most %.0f", x.what, x.got, x.most)
		if x.got > x.most {
			t.Errorf("%s is %.1f MB, want at most %.0f", x.what, x.got, x.most)
		}
	}
}

// TestPrometheusCanScrapeAProxy: with its own parser and its own lint.
func TestPrometheusCanScrapeAProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	shop := w.serve("shop", "http", nil, "one")
	w.serve("mail", "greeter", []string{"--port", ":tcp"})
	me := w.call("me")
	c := me.client()
	me.until(c, "http://shop/")
	for range 50 {
		get(c, "http://shop/")
	}
	get(c, "http://nobody/") // a failure of the proxy's own
	conn, err := net.Dial("tcp", me.addr("mail"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(conn, make([]byte, 4))
	_ = conn.Close()

	for who, m := range map[string]*member{"caller": me.member, "callee": shop} {
		// A real registry is asked twice, since a scrape must not change anything.
		for range 2 {
			resp, err := http.Get("http://" + m.metrics + "/metrics") //nolint:noctx // local, and the test is bounded
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
			if err != nil {
				t.Fatalf("%s: %v in\n%s", who, err, text)
			}
			if len(families) == 0 || !strings.Contains(string(text), "shop") {
				t.Errorf("%s: %d families, nothing of shop:\n%s", who, len(families), text)
			}
			problems, err := promlint.New(strings.NewReader(string(text))).Lint()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				t.Errorf("%s: promlint: %s: %s", who, p.Metric, p.Text)
			}
		}
		if resp, err := http.Post("http://"+m.metrics+"/metrics", "text/plain", nil); err != nil { //nolint:noctx // as above
			t.Error(err)
		} else {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: POST gives %d; the port is read-only", who, resp.StatusCode)
			}
		}
	}
}

// TestTheAdminSocketIsTheUsersAlone: and it tells no secret.
func TestTheAdminSocketIsTheUsersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.serve("shop", "http", nil, "one")
	sockets, _ := filepath.Glob(filepath.Join(w.runtime(), "run-*", "admin.sock"))
	if len(sockets) != 1 {
		t.Fatalf("admin sockets: %v, want one", sockets)
	}
	for path, want := range map[string]os.FileMode{
		sockets[0]: 0o600, filepath.Dir(sockets[0]): 0o700, w.runtime(): 0o700,
		filepath.Join(w.dir, "s", "weft", "default"): 0o700,
	} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
	// The directory of the CA: each file for its owner only.
	entries, err := os.ReadDir(filepath.Join(w.dir, "s", "weft", "default"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", sockets[0])
	}}
	defer tr.CloseIdleConnections()
	code, body := get(&http.Client{Transport: tr}, "http://admin/state")
	var state map[string]any
	if err := json.Unmarshal([]byte(body), &state); code != http.StatusOK || err != nil {
		t.Fatalf("/state: %d, %v:\n%s", code, err, body)
	}
	var who string
	if served, _ := state["workloads"].([]any); len(served) == 1 {
		w, _ := served[0].(map[string]any)
		who, _ = w["identity"].(string)
	}
	if who != "spiffe://weft.local/ns/default/sa/shop" || strings.Contains(body, "PRIVATE") {
		t.Errorf("/state shows:\n%s", body)
	}
}
