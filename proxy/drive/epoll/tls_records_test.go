//go:build linux

package epoll

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"hash"
	"strings"
	"testing"
)

// direction is one direction of a TLS 1.3 record layer (RFC 8446 section 5), for what crypto/tls
// cannot be asked to send: key updates and messages that do not belong there.
type direction struct {
	t      testing.TB
	hash   func() hash.Hash
	keyLen int
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func newDirection(t testing.TB, suite uint16, secret []byte) *direction {
	t.Helper()
	if suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("the test's record layer knows TLS_AES_128_GCM_SHA256, not %s", tls.CipherSuiteName(suite))
	}
	d := &direction{t: t, hash: sha256.New, keyLen: 16}
	d.use(secret)
	return d
}

// use derives key and iv from a traffic secret (RFC 8446 section 7.3).
func (d *direction) use(secret []byte) {
	d.t.Helper()
	block, err := aes.NewCipher(d.expand(secret, "key", d.keyLen))
	if err != nil {
		d.t.Fatal(err)
	}
	if d.aead, err = cipher.NewGCM(block); err != nil {
		d.t.Fatal(err)
	}
	d.secret, d.iv, d.seq = secret, d.expand(secret, "iv", 12), 0
}

// update goes to the next generation of keys (RFC 8446 section 7.2).
func (d *direction) update() { d.use(d.expand(d.secret, "traffic upd", d.hash().Size())) }

// expand is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
func (d *direction) expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(d.hash, secret, string(append(info, 0)), n)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *direction) nonce() []byte {
	n := bytes.Clone(d.iv)
	for i := range 8 {
		n[len(n)-1-i] ^= byte(d.seq >> (8 * i))
	}
	d.seq++
	return n
}

// seal makes a record of a content type.
func (d *direction) seal(kind byte, p []byte) []byte {
	inner := append(bytes.Clone(p), kind)
	n := len(inner) + d.aead.Overhead()
	head := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	return d.aead.Seal(bytes.Clone(head), d.nonce(), inner, head)
}

// open takes the first record off p and returns its content.
func (d *direction) open(p []byte) (kind byte, content, rest []byte) {
	d.t.Helper()
	if len(p) < 5 {
		d.t.Fatalf("no record in %d bytes", len(p))
	}
	n := int(p[3])<<8 | int(p[4])
	if len(p) < 5+n {
		d.t.Fatalf("a record of %d bytes, %d are there", n, len(p)-5)
	}
	inner, err := d.aead.Open(nil, d.nonce(), p[5:5+n], p[:5])
	if err != nil {
		d.t.Fatalf("a record does not open with the present keys: %v", err)
	}
	inner = bytes.TrimRight(inner, "\x00")
	return inner[len(inner)-1], inner[:len(inner)-1], p[5+n:]
}

// taken over is a connection whose peer's record layer the test is.
type takenOver struct {
	*rig
	send, receive *direction
}

// takeOver shakes hands by crypto/tls and goes on with its secrets.
func takeOver(t *testing.T, rigIsServer bool) *takenOver {
	t.Helper()
	var log bytes.Buffer
	peerCfg := settings()
	peerCfg.KeyLogWriter = &log
	r := newRig(t, settings(), rigIsServer)
	peer := tls.Server(r.peer, peerCfg)
	if rigIsServer {
		peer = tls.Client(r.peer, peerCfg)
	}
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	r.up()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{}
	for line := range strings.Lines(log.String()) {
		if f := strings.Fields(line); len(f) == 3 {
			secrets[f[0]], _ = hex.DecodeString(f[2])
		}
	}
	suite := peer.ConnectionState().CipherSuite
	x := &takenOver{
		rig:     r,
		send:    newDirection(t, suite, secrets["SERVER_TRAFFIC_SECRET_0"]),
		receive: newDirection(t, suite, secrets["CLIENT_TRAFFIC_SECRET_0"]),
	}
	if rigIsServer {
		x.send, x.receive = x.receive, x.send
	}
	return x
}

// read1 takes one record that the rig wrote.
func (x *takenOver) read1() (kind byte, content []byte) {
	x.t.Helper()
	head := make([]byte, 5)
	readFull(x.t, x.peer, head)
	body := make([]byte, int(head[3])<<8|int(head[4]))
	readFull(x.t, x.peer, body)
	kind, content, _ = x.receive.open(append(head, body...))
	return kind, content
}
