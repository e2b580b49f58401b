package h2

// Role says which end of a connection we are.
type Role uint8

// The two roles.
const (
	Server Role = iota
	Client
)

// Config is how a connection is to behave. Zero values mean the defaults.
type Config struct {
	Role Role

	// MaxConcurrentStreams is the number of streams that the peer may have open at once
	// (server), or that we open at most, whatever the peer permits (client).
	// Default 250, on a link 1000.
	MaxConcurrentStreams uint32

	// StreamWindow and ConnWindow are the receive windows that we announce, in bytes. A body
	// that its receiver does not consume occupies at most StreamWindow, or what its window has
	// grown to. Defaults 64 KiB and 4 MiB. ConnWindow is at least 65,535, since HTTP/2 knows no way
	// to make it smaller.
	StreamWindow, ConnWindow int32

	// MaxStreamWindow is what the window of a stream may grow to, by doubling, while its data come
	// fast and are consumed at once; a consumer that falls behind loses the growth again. Each
	// update costs both sides a wake-up, so bulk transfers want few (measured: a window of 1 MiB
	// takes 10 % of the processor time of 256 KiB away). Default 1 MiB.
	MaxStreamWindow int32

	// Growth is how many bytes the windows of all connections that share it may still grow by,
	// beyond StreamWindow each. It is changed by their methods. Without it no window grows.
	Growth *int

	// MaxHeaderBytes bounds a header section as decoded: octets of names and values and 32 a
	// field, counting what is dropped too. Default 64 KiB.
	MaxHeaderBytes int

	// MaxFrameSize is the largest payload that the peer may send: 16,384 (default) to
	// 16,777,215 bytes.
	MaxFrameSize uint32

	// MaxOutput is the length of the output buffer, in bytes, from which on body data waits in
	// its stream instead. Frames that cannot wait may exceed it by 1 MiB before the connection
	// is given up. Default 256 KiB.
	MaxOutput int

	// LowWater is the number of pending bytes of a stream at which OnWritable is called.
	// Default 16 KiB.
	LowWater int

	// EnableConnect permits extended CONNECT (RFC 8441) to clients.
	EnableConnect bool

	// Huffman makes header strings shorter for some processor time. Off on links.
	Huffman bool

	// Link says that the peer is one of our own proxies: larger compression tables and budgets.
	Link bool

	Limits Limits
}

// Limits are the budgets for what a peer can do at no cost to itself. Each is a bucket of cost:
// an event adds to it, time and useful traffic take from it, and a peer that fills it is told
// ENHANCE_YOUR_CALM and disconnected. The size of a bucket depends on the configuration and on
// the streams open now, never on how many there have ever been. Zero values mean the defaults.
type Limits struct {
	// ResetBurst and ResetsPerSecond are for streams that ended early by the peer's doing: reset
	// by it within a second of opening and before any answer (rapid reset, CVE-2023-44487),
	// refused, or reset by us for its fault (CVE-2025-8671). Defaults: 100 more than
	// MaxConcurrentStreams, so that everything open can be cancelled at once, and 50; on a link
	// 1000 more, and 2000.
	ResetBurst, ResetsPerSecond int

	// ControlBurst, ControlPerStream and ControlPerSecond are for frames that carry nothing:
	// PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, short CONTINUATION, unknown types,
	// frames on closed streams (CVE-2019-9512 to 9518). A DATA frame that we send, not one cut
	// small by a tiny window, pays for four of them, also ahead: as many as there may be streams.
	// Defaults: 200, 8 more for each open stream, 100; on a link 2000, 16, 5000.
	ControlBurst, ControlPerStream, ControlPerSecond int

	// CancelBurst and CancelsPerSecond are for resets that we send as a client, of streams that
	// the server would charge for (ResetBurst). What is above is reset when that costs nothing: when
	// it is answered, or a second old. So whatever a downstream client does, the connection that
	// others share is not lost to the peer's budget. Defaults: 100 and 25, below what servers are known
	// to take (nghttp2: 1000 and 33; Go: four times the streams that it permits); on a link three
	// quarters of what the peer's proxy allows.
	CancelBurst, CancelsPerSecond int
}

const (
	minFrameSize  = 16384
	maxFrameSize  = 1<<24 - 1
	defaultWindow = 65535
	maxWindow     = 1<<31 - 1
	maxStreamID   = 1<<31 - 1
	turnBytes     = 16384   // what a stream may send before the next has its turn
	outputSlack   = 1 << 20 // by which replies may exceed MaxOutput
	linkTableSize = 16384
)

// withDefaults returns the configuration with defaults filled in and values brought into range.
func (c Config) withDefaults() Config {
	c.MaxConcurrentStreams = or(c.MaxConcurrentStreams, pick[uint32](c.Link, 1000, 250))
	c.StreamWindow = or(max(c.StreamWindow, 0), 64<<10)
	c.MaxStreamWindow = max(or(c.MaxStreamWindow, 1<<20), c.StreamWindow)
	c.ConnWindow = max(or(c.ConnWindow, 4<<20), defaultWindow)
	c.MaxHeaderBytes = or(max(c.MaxHeaderBytes, 0), 64<<10)
	c.MaxFrameSize = min(max(c.MaxFrameSize, minFrameSize), maxFrameSize)
	c.MaxOutput = or(max(c.MaxOutput, 0), 256<<10)
	c.LowWater = or(max(c.LowWater, 0), 16<<10)
	l := &c.Limits
	l.ResetBurst = or(l.ResetBurst, int(min(c.MaxConcurrentStreams, 1<<20))+pick(c.Link, 1000, 100))
	l.ResetsPerSecond = or(l.ResetsPerSecond, pick(c.Link, 2000, 50))
	l.CancelBurst = or(l.CancelBurst, pick(c.Link, 3*l.ResetBurst/4, 100))
	l.CancelsPerSecond = or(l.CancelsPerSecond, pick(c.Link, 3*l.ResetsPerSecond/4, 25))
	l.ControlBurst = or(l.ControlBurst, pick(c.Link, 2000, 200))
	l.ControlPerStream = or(l.ControlPerStream, pick(c.Link, 16, 8))
	l.ControlPerSecond = or(l.ControlPerSecond, pick(c.Link, 5000, 100))
	return c
}

// streamsUntilTold is how many streams a client opens before the server's SETTINGS have arrived.
// An application may take few, and what it refuses above that cannot be sent again if it had a
// body; one stream loses no time. Peers take more than this.
func (c *Config) streamsUntilTold() uint32 { return pick[uint32](c.Link, 100, 1) }

// tableSize is the size of the compression tables, for both directions.
func (c *Config) tableSize() uint32 { return pick[uint32](c.Link, linkTableSize, 4096) }

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func pick[T any](link bool, onLink, otherwise T) T {
	if link {
		return onLink
	}
	return otherwise
}
