package sim_test

import (
	"bytes"
	"strconv"
	"strings"
)

// pattern is byte i of the content that belongs to id. Content of one request never looks like
// that of another, nor like itself elsewhere.
func pattern(id uint64, i int) byte {
	x := (id+1)*0x9E3779B97F4A7C15 + uint64(i)*0xD1B54A32D192ED03
	x ^= x >> 31
	x *= 0x94D049BB133111EB
	return byte(x >> 56)
}

func content(id uint64, from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = pattern(id, from+i)
	}
	return p
}

// reader reads HTTP/1 messages in the simplest way: an oracle for what proxies write.
type reader struct {
	response bool
	noBody   func(status int) bool                        // of the response that comes next
	head     func(first string, fields map[string]string) // a head is complete
	data     func(p []byte)                               // a piece of the body, or of a tunnel
	end      func()                                       // the message is complete
	bad      func(what string)                            // this is not HTTP
	held     bool                                         // nothing is read for now
	buf      []byte
	state    int
	left     int
}

const (
	atHead = iota
	inLength
	atChunk
	inChunk
	afterChunk
	inTrailers
	untilEnd
	inTunnel
	broken
)

func (r *reader) fail(what string) {
	r.state = broken
	r.bad(what)
}

func (r *reader) feed(p []byte) {
	r.buf = append(r.buf, p...)
	for !r.held && r.step() {
	}
}

// line takes a line off the buffer.
func (r *reader) line() (string, bool) {
	i := bytes.Index(r.buf, []byte("\r\n"))
	if i < 0 {
		return "", false
	}
	s := string(r.buf[:i])
	r.buf = r.buf[i+2:]
	return s, true
}

func (r *reader) take(n int) []byte {
	p := r.buf[:n]
	r.buf = r.buf[n:]
	return p
}

func (r *reader) step() bool {
	switch r.state {
	case atHead:
		i := bytes.Index(r.buf, []byte("\r\n\r\n"))
		if i < 0 {
			return false
		}
		r.heading(string(r.take(i + 4)[:i]))
		return true
	case inLength, inChunk:
		if len(r.buf) == 0 {
			return false
		}
		n := min(r.left, len(r.buf))
		r.left -= n
		chunk := r.state == inChunk
		if r.left == 0 {
			r.state = atHead
			if chunk {
				r.state = afterChunk
			}
		}
		last := r.state == atHead
		r.data(r.take(n))
		if last {
			r.end()
		}
		return true
	case atChunk:
		l, ok := r.line()
		if !ok {
			return false
		}
		n, err := strconv.ParseInt(l, 16, 32)
		if err != nil || n < 0 {
			r.fail("chunk size " + strconv.Quote(l))
			return false
		}
		r.state, r.left = inChunk, int(n)
		if n == 0 {
			r.state = inTrailers
		}
		return true
	case afterChunk:
		if len(r.buf) < 2 {
			return false
		}
		if string(r.take(2)) != "\r\n" {
			r.fail("no line end after a chunk")
			return false
		}
		r.state = atChunk
		return true
	case inTrailers:
		l, ok := r.line()
		if !ok {
			return false
		}
		if l == "" {
			r.state = atHead
			r.end()
		}
		return true
	case untilEnd, inTunnel:
		if len(r.buf) == 0 {
			return false
		}
		r.data(r.take(len(r.buf)))
		return true
	}
	return false
}

func (r *reader) heading(text string) {
	lines := strings.Split(text, "\r\n")
	fields := map[string]string{}
	for _, l := range lines[1:] {
		k, v, ok := strings.Cut(l, ":")
		if !ok {
			r.fail("field line " + strconv.Quote(l))
			return
		}
		fields[strings.ToLower(k)] = strings.TrimSpace(v)
	}
	status := 0
	if r.response {
		part := strings.SplitN(lines[0], " ", 3)
		if len(part) < 2 || !strings.HasPrefix(part[0], "HTTP/1.") {
			r.fail("status line " + strconv.Quote(lines[0]))
			return
		}
		status, _ = strconv.Atoi(part[1])
	}
	length, hasLength := fields["content-length"]
	n, _ := strconv.Atoi(length)
	none := r.response && (status < 200 || status == 204 || status == 304 || r.noBody != nil && r.noBody(status))
	switch {
	case none:
	case fields["transfer-encoding"] == "chunked":
		r.state = atChunk
	case hasLength && n > 0:
		r.state, r.left = inLength, n
	case r.response && !hasLength:
		r.state = untilEnd
	}
	whole := r.state == atHead
	r.head(lines[0], fields)
	if whole && r.state == atHead && (status == 0 || status >= 200) {
		r.end()
	}
}

// over tells that the connection has ended; it reports whether that ends a message well.
func (r *reader) over() bool {
	if r.state == untilEnd {
		r.state = atHead
		r.end()
		return true
	}
	return r.state == atHead && len(r.buf) == 0
}
