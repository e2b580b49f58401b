// Package h1 is a strict HTTP/1.0 and HTTP/1.1 codec without I/O (RFC 9110, RFC 9112).
//
// A [Parser] turns bytes, as they come, into events: a head, pieces of body, the end. The Append
// functions turn heads and pieces of body into bytes. Neither reads, writes, waits, starts a
// goroutine or keeps time; proxy/core owns the buffers and the connections.
//
// The parser is a proxy's parser: what two implementations could read in two ways is refused, not
// repaired, because a repaired message is how requests are smuggled past a policy. What it accepts
// is a subset of what net/http accepts, with the same meaning; a fuzz test holds it to that (but for
// escapes in a path, which are judged where the path is made canonical). Where
// it is stricter than the RFCs ask for (identical Content-Length fields, leading zeros, white
// space around a chunk size, empty port) the function that refuses says so.
//
// What it takes off a message it never hands on: connection-specific fields, what Connection
// nominates, chunk extensions, the framing. The writers frame anew.
package h1
