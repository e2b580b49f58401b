//go:build linux

package interop

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// grpcCaseTime bounds one case of a suite.
const grpcCaseTime = 60 * time.Second

// grpcGo finds one of grpc-go's programs: client, server or http2.
func grpcGo(t testing.TB, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tools, "grpc-go-v*", name))
	if err != nil || len(found) == 0 {
		missing(t, "grpc-go's interop "+name+" in .tools (make test brings it)")
	}
	path, err := filepath.Abs(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// java gives the command line of a virtual machine that has grpc-java: it starts fast rather than
// runs fast.
func java(t testing.TB, args ...string) []string {
	t.Helper()
	jvm, err := exec.LookPath("java")
	if err != nil {
		missing(t, "java (make deps)")
	}
	jars, err := filepath.Glob(filepath.Join(tools, "grpc-java-*", "grpc-interop-testing-*.jar"))
	if err != nil || len(jars) == 0 {
		missing(t, "grpc-java in .tools (make test brings it, with Maven)")
	}
	cp, err := filepath.Abs(filepath.Dir(jars[len(jars)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{jvm, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", cp + "/*"}, args...)
}

// goServer starts grpc-go's server and gives its address.
func goServer(t testing.TB) string {
	t.Helper()
	env := append(os.Environ(), "GRPC_GO_LOG_SEVERITY_LEVEL=info")
	p := launch(t, launchOptions{env: env}, grpcGo(t, "server"), "-port", "0")
	said := p.out.await(t, p.done, "interop server listening on ")
	_, port, err := net.SplitHostPort(said[strings.LastIndexByte(said, ' ')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// javaServer starts grpc-java's server and gives its address. It can not say which port the kernel
// chose, so it is told one.
func javaServer(t testing.TB) string {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	args := java(t, "io.grpc.testing.integration.TestServiceServer", "--port="+port, "--use_tls=false", "--address_type=IPV4")
	p := launch(t, launchOptions{env: os.Environ()}, args[0], args[1:]...)
	p.out.await(t, p.done, "Server started on port")
	return net.JoinHostPort("127.0.0.1", port)
}

// goOutcome runs one case of one of grpc-go's clients against a server at addr: "ok", or what the
// client said when it failed.
func goOutcome(t *testing.T, program, addr, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), grpcCaseTime)
	defer cancel()
	args = append([]string{"-server_host", host, "-server_port", port, "-test_case", name}, args...)
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return err.Error() + ": " + tail(string(out))
	}
	return "ok"
}

// javaClients is one virtual machine that runs cases of grpc-java's clients, one at a time.
type javaClients struct {
	p       *process
	ask     *os.File
	answers *os.File
	lines   *bufio.Reader
}

// startJavaClients starts it; it ends with the test.
func startJavaClients(t testing.TB) *javaClients {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		missing(t, "javac, by which java runs a source file (make deps)")
	}
	in, ask, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := java(t, filepath.Join("testdata", "grpc-java", "Cases.java"))
	j := &javaClients{ask: ask, answers: answers, lines: bufio.NewReader(answers)}
	j.p = launch(t, launchOptions{env: os.Environ(), stdin: in, out: out}, args[0], args[1:]...)
	t.Cleanup(func() { // before the end of the process, which this is
		_ = ask.Close()
		_ = answers.Close()
	})
	_ = in.Close()
	_ = out.Close()
	return j
}

// do sends one line and gives the answer. What the clients print goes to the process's output.
func (j *javaClients) do(t testing.TB, line string) string {
	t.Helper()
	limit := time.Now().Add(grpcCaseTime)
	if err := j.ask.SetWriteDeadline(limit); err != nil {
		t.Fatal(err)
	}
	if err := j.answers.SetReadDeadline(limit); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(j.ask, line); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, tail(j.p.out.String()))
	}
	answer, err := j.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: no answer: %v\n%s", line, err, tail(j.p.out.String()))
	}
	return strings.TrimSuffix(answer, "\n")
}

// outcome runs one case of a client (its class) against a server at addr: "ok", or what it threw.
func (j *javaClients) outcome(t *testing.T, client, addr, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	line := append([]string{client, "--server_host=" + host, "--server_port=" + port, "--test_case=" + name}, args...)
	return j.do(t, strings.Join(line, " "))
}
