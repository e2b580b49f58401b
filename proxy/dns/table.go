package dns

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/weft-mesh/weft/model"
)

// The virtual addresses. IPv4 comes from 198.18.0.0/15, which RFC 2544 sets aside and no host
// on the Internet has, and which, unlike 240.0.0.0/4, every system and library takes for an
// ordinary address. IPv6 comes from a unique local prefix (RFC 4193). Both carry the same number.
var (
	prefix4 = netip.MustParsePrefix("198.18.0.0/15")
	prefix6 = netip.MustParsePrefix("fd5b:1e7a:90c5::/64")
)

const (
	// pool is how many numbers there are; 0 is never given.
	pool = 1 << 17
	// hold is how long a name keeps its address after the last answer or connection. It is far
	// above the TTL because many programs keep an address for as long as they run.
	hold = 10 * time.Minute
)

// Table gives names virtual addresses and finds the names again. Safe for concurrent use.
//
// It is bounded: when it is full, the name that was unused the longest loses its address, but
// only after hold; until then new names get none, which is seen as SERVFAIL. So an address never
// changes its meaning under somebody who may still use it.
type Table struct {
	max int

	mu     sync.Mutex // guards what follows
	byName map[model.Name]*list.Element
	byNum  map[uint32]*list.Element
	recent *list.List // of *entry, the latest used first
	next   uint32
}

type entry struct {
	name model.Name
	num  uint32
	used time.Time
}

// NewTable makes a table for up to max names; max is cut to what the addresses allow, and 0
// means 16384.
func NewTable(max int) *Table {
	if max <= 0 {
		max = 1 << 14
	}
	return &Table{
		max:    min(max, pool-1),
		byName: map[model.Name]*list.Element{},
		byNum:  map[uint32]*list.Element{},
		recent: list.New(),
	}
}

// Assign gives the addresses of a name, the same ones as before if it has any. ok is false when
// the table is full of names in use.
func (t *Table) Assign(now time.Time, name model.Name) (v4, v6 netip.Addr, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if el := t.byName[name]; el != nil {
		t.touch(now, el)
		return addrs(el.Value.(*entry).num)
	}
	if t.recent.Len() >= t.max {
		oldest := t.recent.Back()
		e := oldest.Value.(*entry)
		if now.Sub(e.used) < hold {
			return netip.Addr{}, netip.Addr{}, false
		}
		t.recent.Remove(oldest)
		delete(t.byName, e.name)
		delete(t.byNum, e.num)
	}
	// Numbers go round, so that a freed one rests for as long as possible. One is free: there
	// are more numbers than entries.
	for {
		t.next = (t.next + 1) % pool
		if t.next != 0 && t.byNum[t.next] == nil {
			break
		}
	}
	el := t.recent.PushFront(&entry{name: name, num: t.next, used: now})
	t.byName[name], t.byNum[t.next] = el, el
	return addrs(t.next)
}

// Lookup finds the name that has the address, and keeps it in use. ok is false for addresses
// that were never given, or are free again.
func (t *Table) Lookup(now time.Time, addr netip.Addr) (name model.Name, ok bool) {
	num, ok := number(addr)
	if !ok {
		return model.Name{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	el := t.byNum[num]
	if el == nil {
		return model.Name{}, false
	}
	t.touch(now, el)
	return el.Value.(*entry).name, true
}

// touch marks an entry used. The caller holds mu.
func (t *Table) touch(now time.Time, el *list.Element) {
	if e := el.Value.(*entry); now.After(e.used) {
		e.used = now
	}
	t.recent.MoveToFront(el)
}

// Virtual reports whether addr lies in the ranges that virtual addresses come from. A
// connection to such an address that Lookup does not know must be refused: there is nothing
// behind it.
func Virtual(addr netip.Addr) bool {
	addr = addr.Unmap()
	return prefix4.Contains(addr) || prefix6.Contains(addr)
}

// addrs gives the addresses of a number.
func addrs(num uint32) (v4, v6 netip.Addr, ok bool) {
	a4, a6 := prefix4.Addr().As4(), prefix6.Addr().As16()
	binary.BigEndian.PutUint32(a4[:], binary.BigEndian.Uint32(a4[:])+num)
	binary.BigEndian.PutUint32(a6[12:], num)
	return netip.AddrFrom4(a4), netip.AddrFrom16(a6), true
}

// number is the inverse of addrs.
func number(addr netip.Addr) (uint32, bool) {
	addr = addr.Unmap()
	switch {
	case prefix4.Contains(addr):
		a, base := addr.As4(), prefix4.Addr().As4()
		return binary.BigEndian.Uint32(a[:]) - binary.BigEndian.Uint32(base[:]), true
	case prefix6.Contains(addr):
		a := addr.As16()
		if binary.BigEndian.Uint32(a[8:12]) != 0 {
			return 0, false
		}
		return binary.BigEndian.Uint32(a[12:]), true
	}
	return 0, false
}
