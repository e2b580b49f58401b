package h2

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestH2spec runs summerwind/h2spec 2.2.1, all 146 cases, strict ones included.
//
// h2spec follows RFC 7540; RFC 9113 replaces that and differs in what follows, where we do what
// both permit:
//   - A stream that depends on itself (7540 section 5.3.1) is an error, although RFC 9113 section
//     5.3 deprecates priorities: it may still be refused, and h2spec asks for it.
//   - PRIORITY of wrong length is an error of the stream; where there is none that could be
//     reset, of the connection.
//   - HEADERS and DATA on a closed stream: RFC 9113 section 5.1 lets us choose the error; we
//     ignore what may have been under way when we reset the stream.
func TestH2spec(t *testing.T) {
	bin := findH2spec()
	if bin == "" {
		t.Skip("h2spec was not found in PATH or GOBIN; `make test` builds it; or install it with: go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible")
	}
	body := []byte(strings.Repeat("weft ", 20))
	addr := listen(t, Config{Role: Server}, func() Handler { return &echo{fixed: body} })
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), bin, "--strict", "-o", "2", "-h", host, "-p", port).CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "146 tests, 146 passed, 0 skipped, 0 failed") {
		at := max(strings.Index(text, "Failures:"), 0)
		t.Fatalf("h2spec: %v\n%s", err, text[at:])
	}
}

func findH2spec() string {
	if p, err := exec.LookPath("h2spec"); err == nil {
		return p
	}
	dirs := []string{os.Getenv("GOBIN"), filepath.Join(os.Getenv("GOPATH"), "bin")}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, "go", "bin"))
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		p := filepath.Join(dir, "h2spec")
		if st, err := os.Stat(p); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}
