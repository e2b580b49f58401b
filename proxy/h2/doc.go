// Package h2 is HTTP/2 (RFC 9113, with extended CONNECT of RFC 8441) as a state machine without
// I/O, for both roles.
//
// Bytes of the transport go into Conn.Feed; what they mean comes out of a Handler; what is to be
// written is appended to a buffer of the owner. A Conn starts no goroutine, reads no clock and
// is not safe for concurrent use: one owner, usually an event loop, drives it.
//
// It never trusts the peer: message heads are checked against RFC 9113 section 8 before anyone
// sees them, each buffer has a bound, and whatever a peer may repeat for free is charged to a
// budget that only useful traffic and time refill (see Limits).
//
// The owner's duties:
//
//   - write *out to the wire, empty it, then call Flushed;
//   - stop feeding while the wire takes nothing: replies to what is fed would have to be stored;
//   - call SetNow once per batch, or budgets do not refill;
//   - return stream credit with Stream.Consumed when the body bytes have left it;
//   - call Stream.Release when it will not touch a stream any more, so that it can be used again;
//   - after an error from Feed: flush, close the transport, call Closed.
package h2
