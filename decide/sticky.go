package decide

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Session is what a decision knows of the session of its request (GEP-1619, session persistence).
//
// A session is kept by its client alone: a cookie or a header field says which backend and which
// endpoint it is with, and when it began. No proxy remembers it, so every proxy of every caller,
// and one that was restarted, continues it. The value has hashes, never a name or an address. It is
// not signed: what a client can do with a forged one is to choose among the endpoints that it would
// be given by chance anyway.
type Session struct {
	On       bool   // requests like this one have sessions
	Endpoint uint64 // the endpoint that it is with, as in balance.Endpoint.SessionID; 0: none, or none any more

	tag    uint32 // of the backend that it is with
	secure bool   // the client came over TLS, so that its cookie may go over nothing else
}

// Names of sessions that nobody named. The field's does not begin with "weft-": those are removed
// from what applications send.
const (
	defaultSessionCookie = "weft-session"
	defaultSessionField  = "x-weft-session"
)

// A session's value is 17 bytes in unpadded base64url: a version, the backend's tag, the endpoint's
// ID and the second of its begin, the last in 4 bytes, which last until 2106.
const (
	sessionVersion = 1
	sessionBytes   = 1 + 4 + 8 + 4
)

// maxSkew is by how many seconds the clocks of two proxies that see a session may differ.
const maxSkew = 300

var sessionText = base64.RawURLEncoding

// SessionName gives the name of the cookie or header field of s.
func SessionName(s *model.Session) string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Header:
		return defaultSessionField
	}
	return defaultSessionCookie
}

// backendTag stands for a backend in the values of sessions.
func backendTag(k setKey) uint32 {
	h := uint64(fnvOffset)
	h = fnvString(h, k.service.Namespace)
	h = fnvString(h, "/"+k.service.Name+":")
	h = mix(fnvString(h, strconv.Itoa(int(k.port))), 1)
	return uint32(h>>32) | 1 // never 0, which is "none"
}

// startSession reads the session of the request, if requests like it have one.
func (d *Decision) startSession(q *Query) {
	s := d.Calls().Session
	if s == nil || q.Opaque {
		return
	}
	d.Session.On = true
	d.Session.secure = string(q.Scheme) == "https" || string(message.Get(q.Fields, "x-forwarded-proto")) == "https"
	name := SessionName(s)
	if s.Header {
		d.Session.parse(message.Get(q.Fields, name), s, q.Now)
		return
	}
	for i := range q.Fields { // HTTP/2 may bring a field for each cookie (RFC 9113 section 8.2.3)
		if string(q.Fields[i].Name) != "cookie" {
			continue
		}
		for rest := q.Fields[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			n, v, _ := bytes.Cut(bytes.TrimSpace(pair), []byte{'='})
			if string(n) == name && d.Session.parse(v, s, q.Now) {
				return
			}
		}
	}
}

// parse takes a session's value. One that has no meaning, or is over, is none.
func (x *Session) parse(v []byte, s *model.Session, now int64) bool {
	var b [sessionBytes]byte
	if len(v) != sessionText.EncodedLen(sessionBytes) {
		return false
	}
	if n, err := sessionText.Decode(b[:], v); err != nil || n != sessionBytes || b[0] != sessionVersion {
		return false
	}
	age := now - int64(binary.BigEndian.Uint32(b[13:]))
	if s.Absolute > 0 && (age < -maxSkew || age >= int64(s.Absolute/time.Second)) {
		return false // a begin in the future would be a session without an end
	}
	x.tag, x.Endpoint = binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint64(b[5:])
	return x.Endpoint != 0
}

// settleSession forgets the endpoint of a session whose backend was not chosen.
func (d *Decision) settleSession() {
	if d.Session.Endpoint != 0 && (d.Backend == nil || d.Backend.tag != d.Session.tag) {
		d.Session.Endpoint = 0
	}
}

// pick chooses a backend of the rule: the one that the request's session is with; else, where a hash
// of the request chooses its endpoint, by that hash, so that a user who sees a version keeps seeing
// it; else by chance. It returns nil if no backend may receive traffic.
//
// A backend of weight 0 gets no sessions either: it is how one is emptied.
func (d *Decision) pick(q *Query) *Backend {
	r := d.Rule
	if len(r.Backends) < 2 {
		return r.pick(q.Rand)
	}
	if d.Session.Endpoint != 0 {
		for _, b := range r.Backends {
			if b.tag == d.Session.tag && b.Model.Weight > 0 && b.Invalid == "" {
				return b
			}
		}
	}
	return r.pick(d.chance(q))
}

// chance gives the number by which weights choose: the same for each request of a user if the
// port's policy chooses endpoints by a hash of a header field or a cookie, else the query's. Users
// move only as far as weights do: who is in the first 10 % is in the first 20 % too.
func (d *Decision) chance(q *Query) uint64 {
	b := &model.PolicyOf(q.Port.Port.Policy).Balance
	if b.Hash == nil || b.Algorithm != model.RingHash && b.Algorithm != model.Maglev || q.Opaque {
		return q.Rand
	}
	var v []byte
	switch {
	case b.Hash.Header != "":
		v = message.Get(q.Fields, b.Hash.Header)
	case b.Hash.Cookie != "":
		v = Cookie(q.Fields, b.Hash.Cookie)
	}
	if len(v) == 0 {
		return q.Rand
	}
	return mix(fnvBytes(d.Rule.salt, v), 1) // salted, or the same users would be first with every rule
}

// Cookie gives the value of the first cookie of that name, or nil.
func Cookie(fields []message.Field, name string) []byte {
	for i := range fields {
		if string(fields[i].Name) != "cookie" {
			continue
		}
		for rest := fields[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			if n, v, ok := bytes.Cut(bytes.TrimSpace(pair), []byte{'='}); ok && string(n) == name {
				return v
			}
		}
	}
	return nil
}

// SessionField gives the field of a response that tells the client whom its session is with from
// now on (Unix seconds). It points into s. Only for decisions with Session.On.
//
// The cookie is HttpOnly and SameSite=Lax, of the path that the rule matched by prefix or exactly.
// A page that is shown in another site's frame would need SameSite=None; nobody needs that between
// services.
func (d *Decision) SessionField(endpoint uint64, now int64, s *Scratch) message.Field {
	var b [sessionBytes]byte
	b[0] = sessionVersion
	if d.Backend != nil {
		binary.BigEndian.PutUint32(b[1:], d.Backend.tag)
	}
	binary.BigEndian.PutUint64(b[5:], endpoint)
	binary.BigEndian.PutUint32(b[13:], uint32(now))
	set := d.Calls().Session
	name, path := SessionName(set), d.sessionPath()
	start := s.begin(len(name) + len(path) + 128)
	if set.Header {
		s.bytes = sessionText.AppendEncode(s.bytes, b[:])
		value := s.end(start)
		start = s.begin(len(name))
		s.bytes = append(s.bytes, name...)
		return message.Field{Name: s.end(start), Value: value}
	}
	s.bytes = append(append(s.bytes, name...), '=')
	s.bytes = sessionText.AppendEncode(s.bytes, b[:])
	s.bytes = append(append(s.bytes, "; Path="...), path...)
	s.bytes = append(s.bytes, "; HttpOnly; SameSite=Lax"...)
	if d.Session.secure {
		s.bytes = append(s.bytes, "; Secure"...)
	}
	if set.Permanent && set.Absolute > 0 {
		s.bytes = strconv.AppendInt(append(s.bytes, "; Max-Age="...), int64(set.Absolute/time.Second), 10)
	}
	return message.Field{Name: nameSetCookie, Value: s.end(start), Sensitive: true}
}

// sessionPath is the path of the cookie: where the rule with the session applies, as far as a cookie
// can say that (RFC 6265 section 5.1.4).
func (d *Decision) sessionPath() string {
	if d.Rule == nil || d.Rule.Model.Calls == nil || d.Match == nil || d.Match.path.kind == pathRegex || d.Match.path.value == "" {
		return "/"
	}
	for _, c := range []byte(d.Match.path.value) {
		if c == ';' || c <= ' ' || c >= 0x7f {
			return "/"
		}
	}
	return d.Match.path.value
}

var nameSetCookie = []byte("set-cookie")

// FNV-1a, 64 bits (Fowler, Noll and Vo).
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

func fnvString(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func fnvBytes(h uint64, p []byte) uint64 {
	for _, c := range p {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}
