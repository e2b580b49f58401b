package balance

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/weft-mesh/weft/model"
)

// SessionID stands for an endpoint in the sessions that are kept with it (GEP-1619), never 0. It is
// the same at every proxy and after every restart, and another if the address was given to another
// workload. It is a hash of who and where the endpoint is, cut to 64 bits, so that a client that
// reads its session's value learns neither.
func SessionID(e *model.Endpoint) uint64 {
	b := make([]byte, 0, 256)
	for _, s := range []string{e.Workload.Namespace, e.Workload.Name, e.Identity} {
		b = append(append(b, s...), 0) // ends each: no two lists of parts read the same
	}
	b = append(e.Addr.AppendTo(b), 0)
	b = e.Link.AppendTo(b)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// SessionID is that of the endpoint, computed once.
func (e *Endpoint) SessionID() uint64 {
	if e.session == 0 {
		e.session = SessionID(&e.Endpoint)
	}
	return e.session
}

// BySession gives the endpoint with this SessionID if requests may be sent to it at present, else nil:
// then the session gets another. Zones and apertures, which are for requests that have no
// place yet, do not count.
func (s *Set) BySession(id uint64) *Endpoint {
	for _, e := range s.all {
		if e.SessionID() != id {
			continue
		}
		if e.Draining && !s.drained() || !e.ok() && !s.panic {
			return nil
		}
		return e
	}
	return nil
}
