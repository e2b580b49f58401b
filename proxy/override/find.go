package override

import (
	"bytes"
	"errors"

	"github.com/weft-mesh/weft/message"
)

// ErrSeveral is the error of Carried for a request that carries two tokens.
var ErrSeveral = errors.New("the request carries two route tokens that differ")

// Carried gives the token of a request, nil if it carries none. It may be in the field "weft-route"
// or a member of "baggage", which the libraries of OpenTelemetry pass on from request to request; the
// same one may be in both. It points into the fields. A request without either costs a comparison of
// lengths for each field.
func Carried(fields []message.Field) (token []byte, err error) {
	found := func(v []byte) {
		if v = bytes.TrimSpace(v); v == nil {
			v = empty // is carried nevertheless, and will be refused
		}
		if token != nil && !bytes.Equal(token, v) {
			err = ErrSeveral
		}
		token = v
	}
	for i := range fields {
		switch string(fields[i].Name) {
		case Field:
			found(fields[i].Value)
		case "baggage":
			members(fields[i].Value, found)
		}
	}
	return token, err
}

var empty = []byte{}

// members calls found for the value of each member of a baggage field that is a token.
func members(list []byte, found func([]byte)) {
	for len(list) > 0 {
		var m []byte
		m, list, _ = bytes.Cut(list, []byte{','})
		m, _, _ = bytes.Cut(m, []byte{';'}) // properties follow
		if k, v, ok := bytes.Cut(m, []byte{'='}); ok && string(bytes.TrimSpace(k)) == Member {
			found(v)
		}
	}
}
