package datapath

import (
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weft-mesh/weft/model"
)

const h2specModule = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"

// h2spec finds the conformance tester, or builds it.
func h2spec(t *testing.T) string {
	t.Helper()
	if p, err := exec.LookPath("h2spec"); err == nil {
		return p
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "install", h2specModule)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("h2spec is not in PATH and cannot be built: %v: %.300s", err, out)
	}
	return filepath.Join(dir, "h2spec")
}

// TestH2SpecPasses holds the side that applications speak HTTP/2 to against h2spec, through both
// proxies to a real application. There are no deviations: all 146 cases must pass.
func TestH2SpecPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	tool := h2spec(t)
	eachDriver(t, func(t *testing.T, driver string) {
		var p http.Protocols
		p.SetUnencryptedHTTP2(true)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Protocols: &p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "hello, h2spec")
		})}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close(); <-done })
		x := newPair(t, pairOptions{driver: driver, app: ln.Addr().String(), protocol: model.ProtocolHTTP2})
		host, port, _ := net.SplitHostPort(x.client.addr["cart"])
		report := filepath.Join(t.TempDir(), "report.xml")
		out, err := exec.Command(tool, "-h", host, "-p", port, "-S", "-o", "2", "-j", report).CombinedOutput()
		b, rerr := os.ReadFile(report)
		if rerr != nil {
			t.Fatalf("%v, no report: %s", err, out)
		}
		var r struct {
			Suites []struct {
				Tests    int `xml:"tests,attr"`
				Skipped  int `xml:"skipped,attr"`
				Failures int `xml:"failures,attr"`
				Errors   int `xml:"errors,attr"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		total, bad := 0, 0
		for _, s := range r.Suites {
			total += s.Tests
			bad += s.Failures + s.Errors + s.Skipped
		}
		if total != 146 || bad != 0 {
			t.Errorf("%d of %d cases did not pass, want 146 that all do:\n%s", bad, total, out)
		}
	})
}
