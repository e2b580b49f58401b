// Package override is the route token: a signed wish of a request to be served by other services
// than the mesh's routes say, so that a version under test can be called within production
// (Linkerd 1 let any caller name such delegations in its l5d-dtab field; here a key has to agree).
//
// A token is a bearer's: it is valid for whoever has it until it ends, so it is made for an hour and
// not for a year. It can lead a request only where the routes' rules about namespaces would let a
// route lead it (package decide), and to nothing outside the mesh.
//
// The package is pure: no clock, no randomness. The command line signs, the data path opens.
package override

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weft-mesh/weft/model"
)

// Bounds of a token.
const (
	MaxPairs = 16
	MaxText  = 4 << 10 // bytes of a token; baggage as a whole may have 8192 (W3C Baggage, section 3.3.2)
)

// Where requests carry a token.
const (
	Field  = "weft-route" // a header field
	Member = "weft.route" // a member of the field "baggage" (W3C Baggage)
)

// Pair sends requests for one service to another.
type Pair struct{ From, To model.Name }

// Token is what was signed.
type Token struct {
	TrustDomain string // of the mesh that it is for
	Expires     int64  // Unix seconds; from then on it is not valid
	Pairs       []Pair
}

// Find gives where requests for a service go instead.
func (t *Token) Find(from model.Name) (to model.Name, ok bool) {
	for i := range t.Pairs {
		if t.Pairs[i].From == from {
			return t.Pairs[i].To, true
		}
	}
	return model.Name{}, false
}

// The errors of Open, each with what is wrong.
var (
	ErrForm      = errors.New("it is not a route token")
	ErrSignature = errors.New("it was not signed with the key that the policy names")
	ErrExpired   = errors.New("it has expired")
	ErrForeign   = errors.New("it is for another trust domain")
)

// version is the first line of what is signed. It also keeps a signature from being one of anything
// else that the key may sign.
const version = "weft-route-token/1"

var text = base64.RawURLEncoding.Strict()

// payload is the text that is signed: a line for the version, the trust domain, the end, and each
// pair. Validate first.
func (t *Token) payload() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\n%d\n", version, t.TrustDomain, t.Expires)
	for _, p := range t.Pairs {
		fmt.Fprintf(&b, "%s %s\n", p.From, p.To)
	}
	return b.Bytes()
}

// Validate says what is wrong with a token that is to be signed, or was. A service that requests are
// sent to may not itself be replaced: a chain would depend on who follows it, a ring has no end.
func (t *Token) Validate() error {
	switch {
	case t.TrustDomain == "" || len(t.TrustDomain) > 255 || strings.ContainsFunc(t.TrustDomain, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf }):
		return fmt.Errorf("%q is no trust domain", t.TrustDomain)
	case t.Expires <= 0:
		return errors.New("it has no end")
	case len(t.Pairs) == 0:
		return errors.New("it names no service")
	case len(t.Pairs) > MaxPairs:
		return fmt.Errorf("it names %d services, at most %d are possible", len(t.Pairs), MaxPairs)
	}
	for i, p := range t.Pairs {
		for _, n := range []model.Name{p.From, p.To} {
			if !isLabel(n.Namespace) || !isLabel(n.Name) {
				return fmt.Errorf("%q is not NAMESPACE/SERVICE", n.String())
			}
		}
		if p.From == p.To {
			return fmt.Errorf("%s would be sent to itself", p.From)
		}
		for j, o := range t.Pairs {
			if j < i && o.From == p.From {
				return fmt.Errorf("%s is named twice", p.From)
			}
			if o.From == p.To {
				return fmt.Errorf("%s is to be replaced by %s, which is replaced itself", p.From, p.To)
			}
		}
	}
	return nil
}

// Sign makes the text of a token.
func (t *Token) Sign(key ed25519.PrivateKey) (string, error) {
	if err := t.Validate(); err != nil {
		return "", err
	}
	p := t.payload()
	s := text.EncodeToString(p) + "." + text.EncodeToString(ed25519.Sign(key, p))
	if len(s) > MaxText {
		return "", fmt.Errorf("it has %d bytes, at most %d are possible", len(s), MaxText)
	}
	return s, nil
}

// Open verifies the text of a token: signature first, then form, trust domain and end. There is one
// text for a token and a signature: what Sign would not make is ErrForm. The error is one of those
// above. A signature costs some 60 µs to verify: see Cache.
func Open(b []byte, key ed25519.PublicKey, trustDomain string, now int64) (*Token, error) {
	if len(b) > MaxText || len(key) != ed25519.PublicKeySize {
		return nil, ErrForm
	}
	head, tail, ok := bytes.Cut(b, []byte{'.'})
	if !ok || len(tail) != text.EncodedLen(ed25519.SignatureSize) {
		return nil, ErrForm
	}
	p, err := text.AppendDecode(nil, head)
	if err != nil || bytes.ContainsAny(b, "\r\n") { // encoding/base64 skips line ends
		return nil, ErrForm
	}
	sig, err := text.AppendDecode(nil, tail)
	if err != nil {
		return nil, ErrForm
	}
	if !ed25519.Verify(key, p, sig) {
		return nil, ErrSignature
	}
	t, err := parse(p)
	if err != nil {
		return nil, ErrForm
	}
	if err := t.Check(trustDomain, now); err != nil {
		return nil, err
	}
	return t, nil
}

// Check says whether a token that was opened before is valid at present.
func (t *Token) Check(trustDomain string, now int64) error {
	switch {
	case t.TrustDomain != trustDomain:
		return ErrForeign
	case now <= 0 || now >= t.Expires: // 0: there is no clock
		return ErrExpired
	}
	return nil
}

// parse reads what was signed.
func parse(p []byte) (*Token, error) {
	lines := strings.Split(string(p), "\n")
	if len(lines) < 5 || len(lines) > 4+MaxPairs || lines[0] != version || lines[len(lines)-1] != "" {
		return nil, ErrForm
	}
	t := &Token{TrustDomain: lines[1]}
	var err error
	if t.Expires, err = strconv.ParseInt(lines[2], 10, 64); err != nil {
		return nil, ErrForm
	}
	for _, l := range lines[3 : len(lines)-1] {
		from, to, ok := strings.Cut(l, " ")
		if !ok {
			return nil, ErrForm
		}
		var pair Pair
		if pair.From, ok = ParseName(from); !ok {
			return nil, ErrForm
		}
		if pair.To, ok = ParseName(to); !ok {
			return nil, ErrForm
		}
		t.Pairs = append(t.Pairs, pair)
	}
	if t.Validate() != nil || !slices.Equal(t.payload(), p) {
		return nil, ErrForm
	}
	return t, nil
}

// ParseName reads NAMESPACE/SERVICE.
func ParseName(s string) (model.Name, bool) {
	ns, name, ok := strings.Cut(s, "/")
	return model.Name{Namespace: ns, Name: name}, ok && isLabel(ns) && isLabel(name)
}

// isLabel reports whether s may be the name of a namespace or service (RFC 1123, lower case).
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' })
}
