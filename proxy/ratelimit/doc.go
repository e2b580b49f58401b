// Package ratelimit bounds the rate of requests by token buckets. A Set is the limits of one port of an
// application; it is shared by all loops of the proxy, since the rates are the proxy's.
//
// A bucket is one number (the generic cell rate algorithm, ITU-T I.371, as leaky bucket and virtual
// scheduling), and the buckets of a limit that counts by caller or by a header's values are places of
// a table of fixed size: however many values there are, memory does not grow.
//
// It is pure but for a mutex: time is passed in.
package ratelimit
