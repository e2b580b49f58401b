package resilience

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/weft-mesh/weft/model"
)

// Cause is what happened to a try.
type Cause uint8

// The causes.
const (
	NotSent      Cause = iota // there was no connection to send it on
	NotProcessed              // who got it says that it was not looked at: REFUSED_STREAM, or a GOAWAY that it crossed
	Stale                     // a connection that had been used before closed before a byte of the answer
	Reset                     // the connection or stream broke before the answer
	Timeout                   // the time for one try passed
	Code                      // the answer's status is one of Retry.Codes
	GRPC                      // the answer's grpc-status is one of Retry.GRPC
)

// leastTries is how many tries may follow the first if it was provably not processed, whatever the
// policy says: a connection that is refused says nothing about the request.
const leastTries = 2

// Unprocessed reports whether the request was certainly not processed, so that it may be sent again
// whatever it is.
func (c Cause) Unprocessed() bool { return c <= NotProcessed }

// Wanted reports whether the policy wants another try after so many, of which the last ended by c. It
// says nothing about whether the request may be repeated.
func Wanted(r *model.Retry, c Cause, tries int) bool {
	var on model.RetryOn
	switch c {
	case NotSent, NotProcessed, Stale:
		return tries <= max(r.Attempts, leastTries)
	case Reset:
		on = model.RetryReset
	case Timeout:
		on = model.RetryTimeout
	case Code:
		on = model.RetryCodes
	case GRPC:
		on = model.RetryGRPC
	}
	return r.On&on != 0 && tries <= r.Attempts
}

// Answered gives the cause for another try that lies in an answer, if it is one: its status, and its
// grpc-status if it is one of gRPC without a body (nil otherwise).
func Answered(r *model.Retry, status int, grpc []byte) (c Cause, ok bool) {
	switch {
	case r.On&model.RetryCodes != 0 && slices.Contains(r.Codes, status):
		return Code, true
	case r.On&model.RetryGRPC != 0 && len(grpc) > 0 && len(grpc) <= 2:
		if n, err := strconv.Atoi(string(grpc)); err == nil && slices.Contains(r.GRPC, n) {
			return GRPC, true
		}
	}
	return 0, false
}

// Repeatable reports whether doing twice what a request asks for does no harm: its method is
// idempotent (RFC 9110 section 9.2.2), or the policy declares all of them to be. gRPC's are all
// POST, so only a declaration makes them so.
func Repeatable(r *model.Retry, method []byte) bool { return r.Idempotent || Idempotent(method) }

// Idempotent reports whether a method is (RFC 9110 section 9.2.2).
func Idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// Tries reads the number of a try from a field. What is no number from 2 to 99 counts as the first.
func Tries(v []byte) int {
	if len(v) == 0 || len(v) > 2 || bytes.ContainsAny(v, "+-") {
		return 1
	}
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 2 {
		return 1
	}
	return n
}
