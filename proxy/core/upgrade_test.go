package core

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// askUpgrade sends a request for an upgrade through both cores and gives what the client got.
func askUpgrade(t *testing.T, answer string) string {
	t.Helper()
	r := newRig(t, nil, Limits{})
	r.answer = []byte(answer)
	c := r.dial()
	c.send([]byte("GET /ws HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"))
	r.settle()
	return string(c.in)
}

// Over the link status 200 says that an upgrade was accepted (RFC 8441). An application that answers
// 200 has ignored it, and its response must arrive as the response that it is.
func TestAnUpgradeThatIsAnswered200IsNoTunnel(t *testing.T) {
	for name, body := range map[string]string{"with a body": "hello", "without": ""} {
		t.Run(name, func(t *testing.T) {
			got := askUpgrade(t, "HTTP/1.1 200 OK\r\nContent-Length: "+map[bool]string{true: "5", false: "0"}[body != ""]+"\r\n\r\n"+body)
			res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
			if err != nil {
				t.Fatalf("the client got %q: %v", got, err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if res.StatusCode != 200 || string(b) != body || err != nil {
				t.Errorf("the client got %q: %v", got, err)
			}
			if strings.Contains(got, "weft-") || strings.Contains(got, "upgrade") {
				t.Errorf("the client is told %q", got)
			}
		})
	}
}

func TestAnUpgradeThatIsAcceptedIsATunnel(t *testing.T) {
	got := askUpgrade(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello")
	if !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\nhello") || strings.Contains(got, "weft-") {
		t.Errorf("the client got %q", got)
	}
}
