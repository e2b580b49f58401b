//go:build linux

package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// connectTime bounds one run of the suite.
const connectTime = 10 * time.Minute

// The suite plays one side itself, with messages that no library would send, and the reference
// implementation is the other. The TLS cases (and HTTP/3 with them) are left out: between an
// application and its own proxy there is none, the mesh does it.
var connectFeatures = `features:
  versions: [HTTP_VERSION_1, HTTP_VERSION_2]
  protocols: [PROTOCOL_CONNECT, PROTOCOL_GRPC, PROTOCOL_GRPC_WEB]
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [%s]
  supportsH2c: true
  supportsTls: false
  supportsHalfDuplexBidiOverHttp1: true
`

// TestConnectRequestsOfEveryShapeCrossTheMesh: the suite is the caller, the reference server the
// callee. Protocols are declared.
func TestConnectRequestsOfEveryShapeCrossTheMesh(t *testing.T) {
	t.Parallel()
	connectSuite(t, "server", true)
}

// TestConnectResponsesOfEveryShapeCrossTheMesh: the suite is the callee, the reference client the
// caller. Protocols are not declared: the first bytes tell.
func TestConnectResponsesOfEveryShapeCrossTheMesh(t *testing.T) {
	t.Parallel()
	connectSuite(t, "client", false)
}

// connectSuite runs the suite with the mesh between the two sides. The side that is under test is
// started by a stand-in (see connectStandIn), which asks here for a mesh before each server.
func connectSuite(t *testing.T, side string, declared bool) {
	r := newConnectRun(t, side, declared)
	out := r.run()
	passed, failed := connectCount(t, out)
	for _, name := range r.late(out, failed) {
		again := r.run("--run", name)
		if p, f := connectCount(t, again); p != 1 || f != 0 {
			t.Errorf("%s: on its own, %d passed and %d failed:\n%s", name, p, f, tail(again))
		} else {
			passed++
		}
	}
	for _, m := range r.meshes {
		m.onlyMTLS()
	}
	// 5 configurations of servers; a suite that found nothing to do would pass as well.
	if len(r.meshes) < 5 || passed < 1900 {
		t.Errorf("%d cases passed at %d servers, want at least 1900 at 5", passed, len(r.meshes))
	}
	t.Logf("%d cases passed through the mesh, %d servers; TLS and HTTP/3 cases are left out: the mesh does the TLS", passed, len(r.meshes))
}

// connectRun is what runs of the suite for one side need.
type connectRun struct {
	t        *testing.T
	declared bool // the protocol is
	command  []string
	env      []string
	asked    <-chan question
	meshes   []*mesh
}

func newConnectRun(t *testing.T, side string, declared bool) *connectRun {
	t.Helper()
	suite, reference := connectTool(t, "connectconformance"), connectTool(t, "reference"+side)
	compressions := "COMPRESSION_IDENTITY, COMPRESSION_GZIP"
	if full() {
		compressions += ", COMPRESSION_BR, COMPRESSION_ZSTD, COMPRESSION_DEFLATE, COMPRESSION_SNAPPY"
	}
	dir, err := os.MkdirTemp("", "wc") // t.TempDir has names that are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	conf, socket := filepath.Join(dir, "conf.yaml"), filepath.Join(dir, "ask.sock")
	if err := os.WriteFile(conf, fmt.Appendf(nil, connectFeatures, compressions), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &connectRun{
		t: t, declared: declared, asked: listenForServers(t, socket),
		command: []string{suite, "--mode", side, "--conf", conf, "--", self},
		env:     append(os.Environ(), standInSide+"="+side, standInReference+"="+reference, standInAsk+"="+socket),
	}
}

// run runs the suite with flags of its own and gives what it said.
func (r *connectRun) run(flags ...string) string {
	r.t.Helper()
	args := slices.Concat(flags, r.command[1:])
	p := launch(r.t, launchOptions{env: r.env}, r.command[0], args...)
	limit := time.NewTimer(connectTime)
	defer limit.Stop()
	for {
		select {
		case q := <-r.asked:
			protocol := ""
			if r.declared {
				protocol = q.protocol
			}
			m := startMesh(r.t, fmt.Sprintf("connect-%d", len(r.meshes)+1), q.backend, protocol)
			r.meshes = append(r.meshes, m)
			q.answer <- m.Addr()
		case <-p.done:
			return p.out.String()
		case <-limit.C:
			r.t.Fatalf("the suite still runs after %s", connectTime)
		}
	}
}

// late gives the failed cases that may be run again, and fails the test for all others. Cases of
// deadlines want an answer in 2 s at most while many others run; on a machine with too much to do
// they fail without a mesh, too, so each gets a second chance alone.
func (r *connectRun) late(out string, failed int) (names []string) {
	r.t.Helper()
	const most = 20
	for _, m := range connectFailed.FindAllStringSubmatch(out, -1) {
		if strings.HasPrefix(m[1], "Deadline Propagation/") {
			names = append(names, m[1])
		}
	}
	if len(names) != failed || failed > most {
		r.t.Errorf("%d cases failed, want none:\n%s", failed, tail(out))
		return nil
	}
	return names
}

var connectFailed = regexp.MustCompile(`(?m)^FAILED: (.*):$`)

var connectTotals = regexp.MustCompile(`(?m)^(\d+) passed, (\d+) failed`)

// connectCount reads the suite's last line.
func connectCount(t testing.TB, out string) (passed, failed int) {
	t.Helper()
	m := connectTotals.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("the suite does not say how many cases passed:\n%s", tail(out))
	}
	passed, _ = strconv.Atoi(m[1])
	failed, _ = strconv.Atoi(m[2])
	return passed, failed
}

// connectTool finds one of the suite's programs.
func connectTool(t testing.TB, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tools, "connect-v*", name))
	if err != nil || len(found) == 0 {
		missing(t, "Connect's "+name+" in .tools (make test brings it)")
	}
	path, err := filepath.Abs(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// question is a stand-in's: where is the mesh before this server?
type question struct {
	backend, protocol string
	answer            chan string // takes one
}

// listenForServers takes questions at a Unix socket, one a connection, until the test ends. Only
// the test's own goroutine may start a mesh, so it is handed them.
func listenForServers(t testing.TB, socket string) <-chan question {
	t.Helper()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked, ended, done := make(chan question), make(chan struct{}), make(chan struct{})
	go func() { // ends with the listener
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			answerOne(c, asked, ended)
		}
	}()
	t.Cleanup(func() {
		close(ended)
		_ = ln.Close()
		<-done
	})
	return asked
}

// answerOne serves one connection: a line with the backend and its protocol, answered by the
// address of the mesh.
func answerOne(c net.Conn, asked chan<- question, ended <-chan struct{}) {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	q := question{answer: make(chan string, 1)}
	q.backend, q.protocol, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	select {
	case asked <- q:
	case <-ended:
		return
	}
	select {
	case addr := <-q.answer:
		_, _ = fmt.Fprintln(c, addr)
	case <-ended:
	}
}
