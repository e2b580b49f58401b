package h1

import (
	"testing"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/test/allocs"
)

func TestMessagesAreReadWithoutAllocation(t *testing.T) {
	x, y := NewRequestParser(Limits{}), NewResponseParser(Limits{})
	for name, c := range map[string]struct {
		x    *Parser
		wire string
	}{
		"small request":    {x, curlRequest},
		"browser request":  {x, browserRequest},
		"absolute request": {x, "GET http://a?b HTTP/1.1\r\nhost: a\r\nconnection: x, y\r\nx: 1\r\n\r\n"},
		"chunked request":  {x, chunked("5;a=b\r\nhello\r\n0\r\na: b\r\n\r\n")},
		"upgrade":          {x, "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, websocket\r\n\r\n"},
		"small response":   {y, smallResponse},
		"chunked response": {y, chunkedResponse},
		"chunk of 16 KiB":  {y, chunked16K},
	} {
		t.Run(name, func(t *testing.T) {
			wire, buf := []byte(c.wire), make([]byte, 0, 32<<10)
			allocs.None(t, 1000, func() {
				buf = append(buf[:0], wire...)
				drain(t, c.x, buf)
			})
		})
	}
}

func TestMessagesAreWrittenWithoutAllocation(t *testing.T) {
	for name, write := range writes() {
		t.Run(name, func(t *testing.T) {
			buf := make([]byte, 0, 32<<10)
			allocs.None(t, 1000, func() { buf = write(buf[:0]) })
		})
	}
}

func TestMessagesAreCheckedWithoutAllocation(t *testing.T) {
	r := request("POST", "a", "/", "a", "b", "c", "d")
	s := &message.Response{Status: 200, ContentLength: 12345, Fields: fields("a", "b")}
	allocs.None(t, 1000, func() {
		if CheckRequest(r) != nil || CheckResponse(s) != nil || CheckTrailers(s.Fields) != nil {
			t.Fatal("refused")
		}
	})
}
