//go:build linux

package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// received is one HTTP/1.1 message as it reached a backend, read with the plainest and strictest
// understanding of the grammar: what the recorder finds malformed is what two readers could take for
// two different things.
type received struct {
	conn           int    // which connection of the backend, counted from 1
	head           string // every byte up to and with the empty line
	method, target string
	framing        string // "none", "length" or "chunked"
	body, trailers string
	complete       bool   // all of it came
	malformed      string // why it is not well-formed, or what followed a message without being one
}

// has reports whether the message has anything to do with a vector.
func (r *received) has(id string) bool {
	return strings.Contains(r.head+r.body+r.trailers+r.malformed, id)
}

func (r *received) String() string {
	return fmt.Sprintf("%q, framing %s, body %q, complete %v, malformed %q", r.head, r.framing, r.body, r.complete, r.malformed)
}

// field gives the values of a field, joined.
func (r *received) field(name string) string {
	var out []string
	for line := range strings.SplitSeq(r.head, "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return strings.Join(out, "|")
}

// recorder is an HTTP/1.1 backend that records what it gets and answers each request with its own
// first line, so that a client can tell which request a response belongs to.
type recorder struct {
	ln net.Listener
	wg sync.WaitGroup
	// script, if not nil, answers instead; it returns false for what the recorder is to answer itself.
	script func(r *received, a *appConn) bool
	limit  int // of requests at once; beyond it, those whose client is still there are counted

	mu     sync.Mutex // guards what follows
	got    []*received
	open   map[net.Conn]bool // true: a request is under way on it
	over   map[int]bool      // connections that ended
	conns  int
	active int
	most   int // requests at once, at most
	closed bool
}

// appConn is one connection of a recorder.
type appConn struct {
	net.Conn
	r    *recorder
	br   *bufio.Reader
	done bool // the script wants the connection closed
}

// newRecorder starts a backend that ends with the test; t may be nil for one that is kept.
func newRecorder(t testing.TB, script func(*received, *appConn) bool) *recorder {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // the machine has no loopback
	}
	b := &recorder{ln: ln, script: script, open: map[net.Conn]bool{}, over: map[int]bool{}, limit: 1 << 30}
	b.wg.Go(b.accept)
	if t != nil {
		t.Cleanup(b.close)
	}
	return b
}

func (b *recorder) addr() string { return b.ln.Addr().String() }

func (b *recorder) close() {
	b.ln.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.open {
		c.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *recorder) accept() {
	for {
		c, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		if b.closed {
			c.Close()
		} else {
			b.open[c] = false
			b.conns++
			n := b.conns
			b.wg.Go(func() { b.serve(c, n) })
		}
		b.mu.Unlock()
	}
}

func (b *recorder) serve(c net.Conn, n int) {
	a := &appConn{Conn: c, r: b, br: bufio.NewReaderSize(c, 4<<10)}
	defer func() {
		b.idle(c)
		b.mu.Lock()
		delete(b.open, c)
		b.over[n] = true
		b.mu.Unlock()
		c.Close()
	}()
	for !a.done {
		if _, err := a.br.Peek(1); err != nil {
			return
		}
		r := &received{conn: n}
		err := readHead(a.br, r)
		b.mu.Lock()
		b.got = append(b.got, r)
		b.mu.Unlock()
		if err != nil {
			b.note(r, func() { r.malformed = err.Error() })
			return
		}
		b.busy(c)
		if strings.EqualFold(r.field("expect"), "100-continue") && b.script == nil {
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
		if b.script == nil || !b.script(r, a) {
			if !a.readBody(r) {
				return
			}
			if _, err := io.WriteString(c, echo(r)); err != nil {
				return
			}
		}
		b.idle(c)
	}
}

// echo is the recorder's own answer.
func echo(r *received) string {
	line := r.method + " " + r.target
	if r.method == "HEAD" {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", len(line))
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(line), line)
}

// readBody takes the rest of a message in and reports whether it is well-formed.
func (a *appConn) readBody(r *received) bool {
	body, trailers, err := readBody(a.br, r.framing, r.field("content-length"))
	a.r.note(r, func() {
		r.body, r.trailers = body, trailers
		switch {
		case err == nil:
			r.complete = true
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err):
			r.malformed = err.Error()
		}
	})
	return err == nil
}

func isReset(err error) bool {
	return errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.Is(err, unix.EPIPE)
}

// note changes a record.
func (b *recorder) note(_ *received, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *recorder) busy(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[c] = true
	b.active++
	if b.active > b.limit { // some may have been cancelled, and not yet been seen to be
		for c, busy := range b.open {
			if busy && !established(c) {
				b.open[c] = false
				b.active--
			}
		}
	}
	b.most = max(b.most, b.active)
}

func (b *recorder) idle(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[c] {
		b.open[c] = false
		b.active--
	}
}

// established reports whether the other end of a connection has neither closed nor reset it.
func established(c net.Conn) bool {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	open := false
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		open = err == nil && info.State == unix.BPF_TCP_ESTABLISHED
	})
	return open
}

// counts tells how many requests were under way at once at most, and how many there are now.
func (b *recorder) counts() (most, active, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most, b.active, len(b.got)
}

// about gives copies of the records that have to do with a vector.
func (b *recorder) about(id string) (out []received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.got {
		if r.has(id) {
			out = append(out, *r)
		}
	}
	return out
}

var (
	requestLine = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\x00-\x20\x7f]+ HTTP/1\\.[01]$")
	fieldLine   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*$")
	chunkLine   = regexp.MustCompile(`^[0-9A-Fa-f]{1,15}$`)
	decimal     = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
)

// maxRecorded bounds a line, and all lines of a section, and a body.
const maxRecorded = 4 << 20

// line reads one line that ends in CRLF and holds no other CR or LF.
func line(br *bufio.Reader, kept *string) (string, error) {
	s, err := br.ReadString('\n')
	*kept += s
	if err != nil {
		return "", err
	}
	t, ok := strings.CutSuffix(s, "\r\n")
	if !ok || strings.ContainsAny(t, "\r\x00") || len(*kept) > maxRecorded {
		return "", fmt.Errorf("line %q", s)
	}
	return t, nil
}

// readHead reads a request head into r.
func readHead(br *bufio.Reader, r *received) error {
	first, err := line(br, &r.head)
	if err != nil {
		return err
	}
	if !requestLine.MatchString(first) {
		return fmt.Errorf("request line %q", first)
	}
	part := strings.Split(first, " ")
	r.method, r.target = part[0], part[1]
	for {
		l, err := line(br, &r.head)
		if err != nil {
			return err
		}
		if l == "" {
			break
		}
		if !fieldLine.MatchString(l) {
			return fmt.Errorf("field line %q", l)
		}
	}
	length, coding := r.field("content-length"), r.field("transfer-encoding")
	switch {
	case r.field("host") == "" || strings.Contains(r.field("host"), "|"):
		return fmt.Errorf("host %q", r.field("host"))
	case length != "" && coding != "":
		return fmt.Errorf("content-length %q and transfer-encoding %q", length, coding)
	case strings.EqualFold(coding, "chunked"):
		r.framing = "chunked"
	case coding != "":
		return fmt.Errorf("transfer-encoding %q", coding)
	case length == "":
		r.framing = "none"
	case decimal.MatchString(length):
		r.framing = "length"
	default:
		return fmt.Errorf("content-length %q", length)
	}
	return nil
}

func readBody(br *bufio.Reader, framing, length string) (body, trailers string, err error) {
	switch framing {
	case "none":
		return "", "", nil
	case "length":
		n, err := strconv.Atoi(length)
		if err != nil {
			return "", "", err
		}
		b, err := io.ReadAll(io.LimitReader(br, int64(n)))
		if err == nil && len(b) < n {
			err = io.ErrUnexpectedEOF
		}
		return string(b), "", err
	}
	for {
		var kept string
		l, err := line(br, &kept)
		if err != nil {
			return body, "", err
		}
		if !chunkLine.MatchString(l) {
			return body, "", fmt.Errorf("chunk size line %q", l)
		}
		n, err := strconv.ParseInt(l, 16, 64)
		if err != nil {
			return body, "", err
		}
		if n == 0 {
			break
		}
		data := make([]byte, min(n, maxRecorded)+2)
		if _, err := io.ReadFull(br, data); err != nil {
			return body, "", err
		}
		if n > maxRecorded || string(data[n:]) != "\r\n" {
			return body, "", fmt.Errorf("chunk of %d bytes ends in %q", n, data[n:])
		}
		body += string(data[:n])
	}
	for {
		l, err := line(br, &trailers)
		if err != nil {
			return body, trailers, err
		}
		if l == "" {
			return body, strings.TrimRight(trailers, "\r\n"), nil
		}
		if !fieldLine.MatchString(l) {
			return body, trailers, fmt.Errorf("trailer line %q", l)
		}
	}
}

func (b *recorder) port() int { return b.ln.Addr().(*net.TCPAddr).Port }

// ended reports whether a connection is over.
func (b *recorder) ended(conn int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over[conn]
}

// on gives the targets of the requests that came on a connection, in their order.
func (b *recorder) on(conn int) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.got {
		if r.conn == conn {
			out = append(out, r.target)
		}
	}
	return out
}
