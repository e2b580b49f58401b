//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// websocketParallel bounds the cases at a time in one run of the suite.
const websocketParallel = 4

// websocketTime bounds one run of the suite. Each case that hangs may take a minute by itself.
func websocketTime() time.Duration {
	if full() {
		return 40 * time.Minute
	}
	return 2 * time.Minute
}

// Groups of cases. Group 9 sends up to 16 MiB in one message or many small ones, a case of groups
// 12 and 13 sends 1000 compressed messages, of up to 128 KiB, in up to 512 frames each: some of
// every kind will do where it must be fast.
var (
	shortGroups = []string{"1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"}
	someOfLong  = []string{
		"9.1.6", "9.2.3", "9.3.4", "9.4.1", "9.5.6", "9.6.1", "9.7.1", "9.8.6",
		"12.1.3", "12.2.1", "12.3.3", "12.4.11", "12.5.2", "13.1.1", "13.2.2", "13.3.1", "13.4.1", "13.5.1", "13.6.1", "13.7.2",
	}
)

// meshedCases says which cases are run through the mesh, and how many there are.
func meshedCases() (cases []string, count int) {
	if full() {
		return []string{"*"}, 517
	}
	return slices.Concat(shortGroups, someOfLong), 267
}

// directCases says which cases are run without the mesh: the same, but where all of them went
// through the mesh, only those of the compressed whose verdict could be better.
func directCases(meshed map[string]verdict) []string {
	if !full() {
		cases, _ := meshedCases()
		return cases
	}
	cases := append(slices.Clone(shortGroups), "9.*")
	for name, v := range meshed {
		if long := strings.HasPrefix(name, "12.") || strings.HasPrefix(name, "13."); long && v != perfect {
			cases = append(cases, name)
		}
	}
	return cases
}

// include tells the suite which cases to run.
func include(cases []string) (flags []string) {
	for _, c := range cases {
		flags = append(flags, "-i", c)
	}
	return flags
}

// refusedAlways are cases that our application's library fails without a mesh, too:
// coder/websocket does not look whether the reason in a Close frame is UTF-8 (RFC 6455, 5.5.1).
var refusedAlways = []string{"7.5.1"}

// unimplemented is the verdict where the two ends did not agree on compression: that library does
// not let its peer limit the window (RFC 7692, 7.1.2).
const unimplemented = "UNIMPLEMENTED"

// verdict is what the suite says of a case: of what was answered, and of how it was closed.
type verdict struct {
	Behavior string `json:"behavior"`
	Close    string `json:"behaviorClose"`
}

var perfect = verdict{"OK", "OK"}

func (v verdict) good() bool {
	accepted := []string{"OK", "NON-STRICT", "INFORMATIONAL"}
	return slices.Contains(accepted, v.Behavior) && slices.Contains(accepted, v.Close)
}

// TestWebSocketServersBehindTheMeshGetTheSameVerdicts: the suite is the client, which breaks every
// rule, of a server that is called directly and through the mesh.
func TestWebSocketServersBehindTheMeshGetTheSameVerdicts(t *testing.T) {
	t.Parallel()
	program := websocketSuite(t)
	server := echoServer(t)
	through := startMesh(t, "echo", server, "http")
	compareVerdicts(t, func(t *testing.T, meshed bool, cases []string, parallel int) map[string]verdict {
		addr := server
		if meshed {
			addr = through.Addr()
		}
		dir := t.TempDir()
		p := launch(t, launchOptions{env: os.Environ()}, program, append(include(cases), "-m", "fuzzingclient", "-p", strconv.Itoa(parallel), "-o", dir, addr)...)
		awaitEnd(t, p)
		return readVerdicts(t, dir)
	})
}

// TestWebSocketClientsBeforeTheMeshGetTheSameVerdicts: the suite is the server, and the client is
// ours, which calls it directly and through the mesh. The port is not declared.
func TestWebSocketClientsBeforeTheMeshGetTheSameVerdicts(t *testing.T) {
	t.Parallel()
	program := websocketSuite(t)
	compareVerdicts(t, func(t *testing.T, meshed bool, cases []string, parallel int) map[string]verdict {
		dir := t.TempDir()
		p := launch(t, launchOptions{env: os.Environ()}, program, append(include(cases), "-m", "fuzzingserver", "-o", dir, "127.0.0.1:0")...)
		said := p.out.await(t, p.done, "fuzzingserver listening on ws://")
		addr := said[strings.LastIndexByte(said, '/')+1:]
		if meshed {
			addr = startMesh(t, "fuzz", addr, "").Addr()
		}
		driveClient(t, addr, parallel)
		awaitEnd(t, p)
		return readVerdicts(t, dir)
	})
}

// compareVerdicts runs the cases both ways and requires the same verdicts, and good ones.
func compareVerdicts(t *testing.T, run func(t *testing.T, meshed bool, cases []string, parallel int) map[string]verdict) {
	t.Helper()
	var direct, meshed map[string]verdict
	cases, count := meshedCases()
	// One after the other: some verdicts depend on time.
	t.Run("meshed", func(t *testing.T) { meshed = run(t, true, cases, websocketParallel) })
	t.Run("direct", func(t *testing.T) { direct = run(t, false, directCases(meshed), websocketParallel) })
	if t.Failed() {
		return
	}
	if len(meshed) != count {
		t.Errorf("%d cases were run through the mesh, want %d", len(meshed), count)
	}
	if again := late(direct, meshed); len(again) > 0 {
		t.Logf("run again alone: %s", strings.Join(again, " "))
		maps.Copy(meshed, run(t, true, again, 1))
		maps.Copy(direct, run(t, false, again, 1))
	}
	good, without := 0, 0
	for _, name := range slices.Sorted(maps.Keys(meshed)) {
		m := meshed[name]
		if d, known := direct[name]; d != m && (known || m != perfect) {
			t.Errorf("case %s: %q directly, %q through the mesh", name, d, m)
			continue
		}
		switch {
		case m.good():
			good++
		case m.Behavior == unimplemented && strings.HasPrefix(name, "13."):
			without++
		case !slices.Contains(refusedAlways, name):
			t.Errorf("case %s: %q, with and without the mesh", name, m)
		}
	}
	t.Logf("verdicts on %d cases through the mesh, %d of them beside a run without it: %d are good, %d are of compression that the library has not", len(meshed), len(direct), good, without)
}

// late gives the cases for which only the verdicts on the closing differ, if they are few: the suite
// gives a server a second to end the connection, which a machine with too much to do misses, with
// and without a mesh.
func late(direct, meshed map[string]verdict) (names []string) {
	const most = 10
	for name, d := range direct {
		if m := meshed[name]; d != m && d.Behavior == m.Behavior {
			names = append(names, name)
		}
	}
	if len(names) > most {
		return nil
	}
	slices.Sort(names)
	return names
}

// websocketSuite finds the program that drives the cases.
func websocketSuite(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tools, "kosoku-*", "bin", "kosoku"))
	if err != nil || len(found) == 0 {
		missing(t, "kosoku, which drives Autobahn's WebSocket cases, in .tools (make test brings it)")
	}
	path, err := filepath.Abs(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitEnd waits until the suite has written its report.
func awaitEnd(t testing.TB, p *process) {
	t.Helper()
	limit := time.NewTimer(websocketTime())
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		t.Fatalf("the suite still runs after %s\n%s", websocketTime(), tail(p.out.String()))
	}
}

// readVerdicts reads the suite's report on the one peer it had.
func readVerdicts(t testing.TB, dir string) map[string]verdict {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var peers map[string]map[string]verdict
	if err := json.Unmarshal(text, &peers); err != nil {
		t.Fatal(err)
	}
	if len(peers) != 1 {
		t.Fatalf("the report is on %d peers, want 1", len(peers))
	}
	for _, cases := range peers {
		return cases
	}
	return nil
}

// echoServer answers every message with itself, and gives its address.
func echoServer(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns.Add(1)
		defer conns.Done()
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1})
		if err == nil {
			echo(ctx, c)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() {
		cancel()
		_ = srv.Close()
		<-done
		conns.Wait()
	})
	return ln.Addr().String()
}

// echo answers messages until the connection ends. The library leaves it to its user whether text
// is UTF-8.
func echo(ctx context.Context, c *websocket.Conn) {
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		kind, message, err := c.Read(ctx)
		if err != nil {
			return
		}
		if kind == websocket.MessageText && !utf8.Valid(message) {
			_ = c.Close(websocket.StatusInvalidFramePayloadData, "text is not UTF-8")
			return
		}
		if c.Write(ctx, kind, message) != nil {
			return
		}
	}
}

// driveClient is a client under test, as the suite's server wants it: it asks how many cases there
// are, does each on a connection of its own, and asks for the report.
func driveClient(t testing.TB, addr string, parallel int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), websocketTime())
	defer cancel()
	c := dialSuite(ctx, t, addr, "/getCaseCount")
	if c == nil {
		t.FailNow()
	}
	defer c.CloseNow()
	_, text, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for n := next.Add(1); n <= int64(count); n = next.Add(1) {
				c := dialSuite(ctx, t, addr, fmt.Sprintf("/runCase?case=%d&agent=coder", n))
				if c == nil {
					return
				}
				echo(ctx, c)
			}
		})
	}
	workers.Wait()
	if c := dialSuite(ctx, t, addr, "/updateReports?agent=coder"); c != nil {
		defer c.CloseNow()
		_, _, _ = c.Read(ctx) // until it is closed
	}
}

// dialSuite opens one connection to the suite's server, or notes why it could not and gives nil.
func dialSuite(ctx context.Context, t testing.TB, addr, path string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+path, &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1})
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return nil
	}
	return c
}
