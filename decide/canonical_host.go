package decide

import (
	"bytes"
	"net/netip"
	"strconv"
)

// host sets Host, Port and, if anything changed, authority.
func (c *Canonical) host(authority []byte) *Ambiguous {
	name, port, bracketed, err := splitPort(authority)
	if err != nil {
		return err
	}
	var changed bool
	c.hostBuf = c.hostBuf[:0]
	if bracketed {
		addr, perr := netip.ParseAddr(string(name[1 : len(name)-1]))
		if perr != nil || !addr.Is6() || addr.Zone() != "" {
			return errZone
		}
		c.hostBuf = append(c.hostBuf, '[')
		c.hostBuf = addr.AppendTo(c.hostBuf)
		c.hostBuf = append(c.hostBuf, ']')
		changed = !bytes.Equal(c.hostBuf, name)
	} else if changed, err = c.regName(name); err != nil {
		return err
	}
	n := len(c.hostBuf)
	if port != 0 {
		c.hostBuf = append(c.hostBuf, ':')
		c.hostBuf = strconv.AppendUint(c.hostBuf, uint64(port), 10)
	}
	c.Port = port
	if changed || len(c.hostBuf) != len(authority) {
		c.Host, c.authority = c.hostBuf[:n:n], c.hostBuf
		return nil
	}
	c.Host = authority[:n:n]
	return nil
}

// splitPort cuts authority into host and port (0: none). An empty port is none (RFC 3986 section
// 3.2.3).
func splitPort(authority []byte) (name []byte, port uint16, bracketed bool, err *Ambiguous) {
	name = authority
	if len(name) == 0 {
		return nil, 0, false, errNoHost
	}
	rest := []byte(nil)
	if name[0] == '[' {
		end := bytes.IndexByte(name, ']')
		if end < 0 {
			return nil, 0, false, errZone
		}
		name, rest, bracketed = authority[:end+1], authority[end+1:], true
	} else if i := bytes.IndexByte(name, ':'); i >= 0 && bytes.IndexByte(name, '@') < 0 {
		name, rest = authority[:i], authority[i:]
	}
	if len(rest) == 0 {
		return name, 0, bracketed, nil
	}
	if rest[0] != ':' {
		return nil, 0, false, errHostByte
	}
	n := 0
	for i, d := range rest[1:] {
		if d < '0' || d > '9' || i == 0 && d == '0' {
			return nil, 0, false, errPort
		}
		if n = n*10 + int(d-'0'); n > 65535 {
			return nil, 0, false, errPort
		}
	}
	return name, uint16(n), bracketed, nil
}

// regName writes the canonical form of a name or IPv4 address into hostBuf.
func (c *Canonical) regName(name []byte) (changed bool, err *Ambiguous) {
	n := len(name)
	if n > 0 && name[n-1] == '.' {
		name, changed = name[:n-1], true
	}
	if len(name) == 0 {
		return false, errNoHost
	}
	if len(name) > 255 {
		return false, errLongHost
	}
	label := 0 // where the current one begins
	for i, b := range name {
		switch {
		case 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '_':
		case 'A' <= b && b <= 'Z':
			b += 'a' - 'A'
			changed = true
		case b == '.':
			if i == label {
				return false, errEmptyLabel
			}
			label = i + 1
		case b == '@':
			return false, errUserinfo
		case b == ',' || b == ' ' || b == '\t':
			return false, errManyHosts
		default:
			return false, errHostByte
		}
		c.hostBuf = append(c.hostBuf, b)
	}
	if label == len(name) {
		return false, errEmptyLabel
	}
	if isNumber(c.hostBuf[label:]) && !isIPv4(c.hostBuf) {
		return false, errNumber
	}
	return changed, nil
}

// isIPv4 reports whether b is a dotted quad of decimals without leading zeros. Other spellings
// (0x7f.1, 0177.0.0.1, 2130706433) are the same address to some parsers and none to others.
func isIPv4(b []byte) bool {
	parts, value, digits := 0, 0, 0
	for i := 0; i <= len(b); i++ {
		if i == len(b) || b[i] == '.' {
			if digits == 0 || value > 255 {
				return false
			}
			parts, value, digits = parts+1, 0, 0
			continue
		}
		if b[i] < '0' || b[i] > '9' || digits > 0 && value == 0 {
			return false
		}
		value, digits = value*10+int(b[i]-'0'), digits+1
		if digits > 3 {
			return false
		}
	}
	return parts == 4
}
