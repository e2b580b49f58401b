package mesh

import (
	"bytes"
	"strconv"
	"strings"
)

// pattern is byte i of the content that belongs to id. Content of one request never looks like that
// of another, nor like itself elsewhere.
func pattern(id uint64, i int) byte {
	x := (id+1)*0x9E3779B97F4A7C15 + uint64(i)*0xD1B54A32D192ED03
	x ^= x >> 31
	return byte((x * 0x94D049BB133111EB) >> 56)
}

func content(id uint64, from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = pattern(id, from+i)
	}
	return p
}

// matches reports whether p is the content of id from a position on.
func matches(p []byte, id uint64, from int) bool {
	for i := range p {
		if p[i] != pattern(id, from+i) {
			return false
		}
	}
	return true
}

// fields are those of a head, with lower-case names; of several with one name the first counts.
type fields map[string]string

// reader reads HTTP/1 messages in the simplest way: what proxies write is judged by it.
type reader struct {
	response bool
	onHead   func(first string, f fields)
	onData   func(p []byte)
	onEnd    func()
	onBad    func(what string)
	held     bool // nothing is read for now

	buf   []byte
	state readState
	left  int
}

type readState uint8

const (
	readHead readState = iota
	readLength
	readChunkSize
	readChunk
	readChunkEnd
	readTrailers
	readRest
	readBroken
)

func (r *reader) feed(p []byte) {
	r.buf = append(r.buf, p...)
	for !r.held && r.step() {
	}
}

// step reads one element, and reports whether there may be more.
func (r *reader) step() bool {
	switch r.state {
	case readHead:
		i := bytes.Index(r.buf, []byte("\r\n\r\n"))
		if i < 0 {
			return false
		}
		head := string(r.take(i + 4)[:i])
		return r.begin(head)
	case readLength, readChunk, readRest:
		if len(r.buf) == 0 {
			return false
		}
		n := len(r.buf)
		if r.state != readRest {
			n = min(r.left, n)
			r.left -= n
		}
		p := r.take(n)
		ended := r.state == readLength && r.left == 0
		if r.state == readChunk && r.left == 0 {
			r.state = readChunkEnd
		}
		r.onData(p)
		if ended {
			r.end()
		}
		return true
	}
	i := bytes.Index(r.buf, []byte("\r\n"))
	if i < 0 {
		return false
	}
	line := string(r.take(i + 2)[:i])
	switch r.state {
	case readChunkSize:
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return r.bad("chunk size " + strconv.Quote(line))
		}
		r.state, r.left = readChunk, int(n)
		if n == 0 {
			r.state = readTrailers
		}
	case readChunkEnd:
		if line != "" {
			return r.bad("no line end after a chunk")
		}
		r.state = readChunkSize
	case readTrailers:
		if line == "" {
			r.end()
		}
	default:
		return false
	}
	return true
}

func (r *reader) begin(head string) bool {
	lines := strings.Split(head, "\r\n")
	f := fields{}
	for _, l := range lines[1:] {
		k, v, ok := strings.Cut(l, ":")
		if !ok {
			return r.bad("field line " + strconv.Quote(l))
		}
		if k = strings.ToLower(k); f[k] == "" {
			f[k] = strings.TrimSpace(v)
		}
	}
	length, err := strconv.Atoi(f["content-length"])
	switch {
	case f["transfer-encoding"] == "chunked":
		r.state = readChunkSize
	case f["content-length"] != "" && err != nil:
		return r.bad("content-length " + f["content-length"])
	case f["content-length"] != "" && length > 0:
		r.state, r.left = readLength, length
	case r.response && f["content-length"] == "":
		r.state = readRest
	}
	empty := r.state == readHead
	r.onHead(lines[0], f)
	if empty && r.state == readHead {
		r.onEnd()
	}
	return true
}

func (r *reader) end() {
	r.state = readHead
	r.onEnd()
}

func (r *reader) bad(what string) bool {
	r.state = readBroken
	r.onBad(what)
	return false
}

func (r *reader) take(n int) []byte {
	p := r.buf[:n]
	r.buf = r.buf[n:]
	return p
}

// over tells that the connection has ended; it reports whether that ends a message well.
func (r *reader) over() bool {
	if r.state == readRest {
		r.end()
		return true
	}
	return false
}
