// Package planted names bugs that are planted in the production code on purpose, so that the
// simulator can be shown to find each of them (mutation testing by hand).
//
// Programs are built without them: On is then a constant false, which the compiler removes with
// everything behind it. With the build tag plantedbugs the simulator switches on one at a time:
//
//	go run -tags plantedbugs ./sim -bugs
//
// A switch stands where a person could make the mistake, and reads as one line:
//
//	if end && !planted.On(planted.DropHalfClose) {
//
// The package imports nothing; any other may import it. What each bug is, and what harm it does to
// users, is told in sim/bugs.
package planted

// Bug is one planted bug. The zero value is none.
type Bug uint8

// The planted bugs. Each is described in sim/bugs.
const (
	None Bug = iota
	AnyIdentity
	PoolForAnyPeer
	LinkForAnyCaller
	RetryStalePost
	RetryBroken
	ForgetGoAway
	DropHalfClose
	LoseCredit
	LeakEndpointCount
	ForgetReset
	StaleEndpoints
	CountTwice
	TryForEver
	NeverForgive
	LostTable
	PlaintextFallback
	ForgedIdentity
	NoBackPressure
	DrainAtOnce
	ForgetWaiters
	KeepDeadLink
	LoseHeldBody
	RemovedStays
	ForgetSubscriptions
	StaleAfterReconnect
	NeverRenew
)
