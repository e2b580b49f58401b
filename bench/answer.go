package main

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/weft-mesh/weft/bench/rig"
)

// maxHead bounds the head of an answer that our load generators read.
const maxHead = 16 << 10

// answer reads an HTTP/1.1 response as it comes, with its length declared. The zero value is ready
// for one response; reset makes it so again.
type answer struct {
	head   []byte // until it is complete
	have   int    // bytes of the body
	length int    // of the body
	body   bool   // the head is complete
}

func (a *answer) reset() { a.head, a.have, a.length, a.body = a.head[:0], 0, 0, false }

// feed takes what has come and reports whether the answer is complete. More than that, another
// status than 200, and a body without length are errors: the load would not be what it should.
func (a *answer) feed(p []byte) (done bool, err error) {
	if !a.body {
		a.head = append(a.head, p...)
		i := bytes.Index(a.head, []byte("\r\n\r\n"))
		if i < 0 {
			if len(a.head) > maxHead {
				return false, fmt.Errorf("a head of more than %d bytes", maxHead)
			}
			return false, nil
		}
		if a.length, err = parseHead(a.head[:i+2]); err != nil {
			return false, err
		}
		a.body = true
		p = a.head[i+4:]
	}
	a.have += len(p)
	if a.have > a.length {
		return false, fmt.Errorf("a body of %d bytes, %d declared", a.have, a.length)
	}
	return a.have == a.length, nil
}

// parseHead gives the length of the body that a head of status 200 declares.
func parseHead(head []byte) (length int, err error) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return 0, fmt.Errorf("answered %q", rig.Excerpt(line))
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		k, v, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(k, []byte("content-length")) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(v)))
			if err != nil || n < 0 {
				return 0, fmt.Errorf("content-length %q", v)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("no content-length in %q", rig.Excerpt(head))
}
