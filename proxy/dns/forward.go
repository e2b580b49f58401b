package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// perTry is how long one upstream resolver is waited for before the next one is asked.
const perTry = 2 * time.Second

// errNoUpstream says that there is nobody to ask.
var errNoUpstream = errors.New("no upstream resolvers")

// Dial opens a connection to an upstream resolver. The network is "udp" or "tcp".
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// forward asks the upstream resolvers, one after the other, and gives the first usable answer,
// with the client's ID. A truncated answer is asked for again over TCP, as the client would.
func forward(ctx context.Context, dial Dial, upstreams []netip.AddrPort, request []byte, q query, id uint16) ([]byte, error) {
	out := bytes.Clone(request)
	// An ID of our own, drawn by the caller: the client's may be guessable (RFC 5452, 9.2).
	binary.BigEndian.PutUint16(out, id)
	err := errNoUpstream
	for _, server := range upstreams {
		var answer []byte
		answer, err = ask(ctx, dial, "udp", server, out, q, id)
		if err == nil && answer[2]&0x02 != 0 {
			if whole, tcpErr := ask(ctx, dial, "tcp", server, out, q, id); tcpErr == nil {
				answer = whole
			}
		}
		if err == nil && failing(answer) && server != upstreams[len(upstreams)-1] {
			continue // another one may do better
		}
		if err == nil {
			binary.BigEndian.PutUint16(answer, q.header.ID)
			return answer, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// failing reports whether a resolver said that it cannot answer, as against that there is
// nothing.
func failing(answer []byte) bool {
	switch dnsmessage.RCode(answer[3] & 0xf) {
	case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented:
		return true
	}
	return false
}

// ask does one exchange with one resolver. Over UDP each exchange has a socket, and so a source
// port, of its own, which the kernel draws; connected, it takes datagrams from the resolver only.
func ask(ctx context.Context, dial Dial, network string, server netip.AddrPort, request []byte, q query, id uint16) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, perTry)
	defer cancel()
	conn, err := dial(ctx, network, server.String())
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", server, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if network == "tcp" {
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(request)))
		if _, err := conn.Write(append(framed, request...)); err != nil {
			return nil, fmt.Errorf("asking %s: %w", server, err)
		}
		answer, err := readFrame(conn)
		if err != nil {
			return nil, fmt.Errorf("answer of %s: %w", server, err)
		}
		if !answers(answer, q, id) {
			return nil, fmt.Errorf("answer of %s: not to the question", server)
		}
		return answer, nil
	}
	if _, err := conn.Write(request); err != nil {
		return nil, fmt.Errorf("asking %s: %w", server, err)
	}
	buf := make([]byte, maxSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, fmt.Errorf("answer of %s: %w", server, err)
		}
		// What does not belong to the question is a late answer or somebody's forgery; the
		// true one may still come (RFC 5452, 9.1).
		if answers(buf[:n], q, id) {
			return bytes.Clone(buf[:n]), nil
		}
	}
}

// readFrame reads one message with its length before it (RFC 1035, 4.2.2).
func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// answers reports whether b is a response with the ID and the question.
func answers(b []byte, q query, id uint16) bool {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || !h.Response || h.ID != id {
		return false
	}
	got, err := p.Question()
	return err == nil && got.Type == q.question.Type && got.Class == q.question.Class &&
		strings.EqualFold(got.Name.String(), q.question.Name.String())
}
