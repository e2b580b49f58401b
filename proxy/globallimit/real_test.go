package globallimit

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

// limits of the real service: three an hour for all, two for each caller.
const limits = `domain: weft
descriptors:
  - key: generic_key
    value: all
    rate_limit: {unit: hour, requests_per_unit: 3}
  - key: generic_key
    value: who
    descriptors:
      - key: source_identity
        rate_limit: {unit: hour, requests_per_unit: 2}
`

// TestTheRealServiceUnderstandsUs asks envoyproxy/ratelimit with Redis behind it, the service that most
// people who have such limits run.
func TestTheRealServiceUnderstandsUs(t *testing.T) {
	for _, need := range []string{"ratelimit", "redis-server"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("%s was not found in PATH: `make test` builds ratelimit, scripts/deps installs redis-server", need)
		}
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "ratelimit", "config")
	if err := os.MkdirAll(config, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "weft.yaml"), []byte(limits), 0o600); err != nil {
		t.Fatal(err)
	}
	redis, grpcPort := freePort(t), freePort(t)
	run(t, dir, nil, "redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--dir", dir)
	await(t, net.JoinHostPort("127.0.0.1", redis))
	run(t, dir, []string{
		"RUNTIME_ROOT=" + dir, "RUNTIME_SUBDIRECTORY=ratelimit", "RUNTIME_WATCH_ROOT=false", "USE_STATSD=false", "LOG_LEVEL=warn",
		"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=127.0.0.1:" + redis,
		"HOST=127.0.0.1", "PORT=" + freePort(t), "GRPC_HOST=127.0.0.1", "GRPC_PORT=" + grpcPort, "DEBUG_HOST=127.0.0.1", "DEBUG_PORT=" + freePort(t),
	}, "ratelimit")
	address := net.JoinHostPort("127.0.0.1", grpcPort)
	await(t, address)

	var c Client
	defer c.Close() //nolint:errcheck // nothing depends on it
	times := func(n int, name string, by model.LimitBy, value string) (pass, over int, wait time.Duration) {
		t.Helper()
		l := &model.RateLimit{Name: name, By: by, Global: &model.GlobalLimit{Address: address, Domain: "weft", Timeout: time.Second}}
		for range n {
			a, w := c.Ask(t.Context(), core.LimitQuery{Limit: l, Value: value})
			switch a {
			case core.LimitPass:
				pass++
			case core.LimitOver:
				over++
				wait = w
			}
		}
		return pass, over, wait
	}
	pass, over, wait := times(5, "all", model.LimitAll, "")
	if pass != 3 || over != 2 || wait <= 0 || wait > time.Hour {
		t.Errorf("of 5 for all %d passed and %d were above, until %v", pass, over, wait)
	}
	for _, who := range []string{"spiffe://m/ns/shop/sa/a", "spiffe://m/ns/shop/sa/b"} {
		if pass, over, _ := times(3, "who", model.LimitIdentity, who); pass != 2 || over != 1 {
			t.Errorf("of 3 of %s %d passed and %d were above", who, pass, over)
		}
	}
	if pass, _, _ := times(3, "unknown", model.LimitAll, ""); pass != 3 {
		t.Errorf("of 3 that no limit is for %d passed", pass)
	}
}

// run starts a program that ends with the test.
func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()  //nolint:errcheck // it was killed
		log.Close() //nolint:errcheck // it is read below
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s:\n%s", name, text)
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // nothing depends on it
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// await waits until somebody listens.
func await(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close() //nolint:errcheck // nothing depends on it
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens on %s: %v", address, err)
		}
	}
}
