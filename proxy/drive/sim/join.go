package sim

import "github.com/weft-mesh/weft/proxy/core"

// seam is a connection that is joined to another: the driver carries its bytes there.
type seam struct {
	to   *Socket
	late int // bytes that wait to be sent at the other
}

// Join implements core.Host. The seed decides for each tunnel who carries its bytes, so that both
// ways are met.
func (d *driver) Join(a, b *core.Conn) bool {
	p := d.p
	s, t := socketOf(a), socketOf(b)
	if s.Queued() > 0 || t.Queued() > 0 || !s.reading || !t.reading {
		panic("sim: something of " + s.name + " or " + t.name + " waits, and would be overtaken")
	}
	if p.joins.IntN(2) == 0 {
		return false
	}
	p.host.net.Note("%s: joins %s and %s", p.host.Name, s.name, t.name)
	p.Joined++
	p.seams[s], p.seams[t] = &seam{to: t}, &seam{to: s}
	return true
}

// carry takes bytes of a joined socket to the other. What that does not take at once stops the
// reading.
func (p *Proxy) carry(s *Socket, b []byte) bool {
	j := p.seams[s]
	if j == nil {
		return false
	}
	j.late = j.to.Write(b)
	p.Core.Moved(s.User.(*core.Conn), j.to.User.(*core.Conn), len(b)-j.late)
	if j.late > 0 {
		s.SetReading(false)
	}
	return true
}

// carried: what waited at a joined socket has gone.
func (p *Proxy) carried(t *Socket) bool {
	back := p.seams[t]
	if back == nil {
		return false
	}
	s := back.to
	j := p.seams[s]
	p.Core.Moved(s.User.(*core.Conn), t.User.(*core.Conn), j.late)
	j.late = 0
	s.SetReading(true)
	return true
}

// part ends the joining of a socket.
func (p *Proxy) part(s *Socket) {
	if j := p.seams[s]; j != nil {
		delete(p.seams, s)
		delete(p.seams, j.to)
	}
}
