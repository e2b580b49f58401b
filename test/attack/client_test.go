//go:build linux

package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// dial opens a connection that ends with the test at the latest.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// dialFree is dial for a connection whose every wait is bounded by itself.
func dialFree(t testing.TB, addr string) net.Conn {
	t.Helper()
	c := dial(t, addr)
	_ = c.SetDeadline(time.Time{})
	return c
}

// answer is a response as an HTTP/1 client gets it.
type answer struct {
	status int // 0: none came
	header http.Header
	body   string
	short  bool // the body broke off
	close  bool // the connection is said to end
}

var errSilent = errors.New("no answer")

// readAnswer reads one response, interim ones left out. The error is errSilent if nothing came in
// time, io.EOF if the connection ended instead.
func readAnswer(c net.Conn, br *bufio.Reader, method string, wait time.Duration) (a answer, err error) {
	_ = c.SetReadDeadline(time.Now().Add(wait))
	defer c.SetReadDeadline(time.Time{})
	for {
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return a, errSilent
		case err != nil && (isReset(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return a, io.EOF
		case err != nil:
			return a, err
		}
		if res.StatusCode < 200 && res.StatusCode != 101 {
			continue
		}
		a.status, a.header, a.close = res.StatusCode, res.Header, res.Close
		if res.StatusCode == 101 {
			return a, nil
		}
		b, err := io.ReadAll(res.Body)
		a.body, a.short = string(b), err != nil
		return a, nil
	}
}

// ended reports whether the other end closes the connection in time; what it sends before is ignored.
func ended(c net.Conn, wait time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(wait))
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// honest sends one plain request on a connection of its own and wants the backend's answer to it.
func (x *pair) honest(addr, path string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, x.service); err != nil {
		return err
	}
	a, err := readAnswer(c, bufio.NewReader(c), "GET", patience)
	if err == nil && (a.status != 200 || a.body != "GET "+path) {
		err = fmt.Errorf("status %d, body %q", a.status, a.body)
	}
	return err
}

// ask sends bytes on a connection of its own and gives the answer.
func ask(addr, send string) (answer, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, send); err != nil {
		return answer{}, err
	}
	method, _, _ := strings.Cut(send, " ")
	return readAnswer(c, bufio.NewReader(c), method, patience)
}

func (x *pair) honestH1(path string) error { return x.honest(x.h1, path) }

// raw sends bytes and gives all that comes back until the connection ends.
func raw(t testing.TB, addr, send string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, send); err != nil && !isReset(err) {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && !isReset(err) {
		t.Fatalf("%q: %v after %q", cut(send), err, b)
	}
	return string(b)
}

// cut shortens what is shown to people.
func cut(s string) string {
	const most = 300
	if len(s) > most {
		return fmt.Sprintf("%s... (%d bytes)", s[:most], len(s))
	}
	return s
}

// times repeats.
func times(n int, s string) string { return strings.Repeat(s, n) }
