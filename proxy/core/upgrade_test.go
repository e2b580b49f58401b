package core

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/model"
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

// What somebody said before the connection was reset is part of what was said: a reset over TCP
// comes behind it. The same must hold where both reach a proxy in one wake-up.
func TestATunnelsLastWordsArriveBeforeItsReset(t *testing.T) {
	last := strings.Repeat("last words", 1000)
	says := func(p *pipe) {
		p.host.core.Received(p.conn, []byte(last))
		p.host.core.Closed(p.conn, io.ErrUnexpectedEOF)
		p.host.core.Flush()
	}
	http := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}
	tcp := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolTCP}}}
	accept := "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
	for name, of := range map[string]struct {
		rig   *rig
		hello string
	}{
		"of an upgrade":           {newRig(t, http, Limits{}), "GET /ws HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"},
		"of an upgrade in a node": {newNodeRig(t, http, Limits{}), "GET /ws HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"},
		"of TCP":                  {newRig(t, tcp, Limits{}), "hello"},
		"of TCP in a node":        {newNodeRig(t, tcp, Limits{}), "hello"},
	} {
		r := of.rig
		r.answer = []byte(accept)
		open := func() (client, app *pipe) {
			r.mute = false
			client = r.dial()
			client.send([]byte(of.hello))
			r.settle()
			for _, p := range r.pipes {
				if p.app {
					app = p
				}
			}
			r.mute = true
			client.in = client.in[:0]
			return client, app
		}
		t.Run(name+" to the application", func(t *testing.T) {
			client, _ := open()
			says(client.other)
			r.settle()
			if string(r.heard) != last {
				t.Errorf("the application heard %d bytes, want %d", len(r.heard), len(last))
			}
		})
		t.Run(name+" to the client", func(t *testing.T) {
			client, app := open()
			says(app.other)
			r.settle()
			if string(client.in) != last {
				t.Errorf("the client heard %d bytes, want %d", len(client.in), len(last))
			}
		})
	}
}
