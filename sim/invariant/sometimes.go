package invariant

// Event is something that has to happen in some life of the mesh, if the simulation is worth
// anything: the rare moments that the invariants are for. A run over many seeds fails if one of them
// never came.
type Event string

// The events.
const (
	DrainRaced      Event = "a request was begun within 2 ms of a drain of its service"
	DrainBusy       Event = "a proxy drained while requests were under way in it"
	Retried         Event = "a request was executed twice"
	NotRetried      Event = "a request that is not idempotent failed, having been executed once"
	TriesUsedUp     Event = "a request failed after every attempt that it had"
	IdentityRefused Event = "a peer did not prove its identity"
	ExpiredInOutage Event = "a certificate expired while the control plane was away"
	AddressReused   Event = "an address was another workload's within a second"
	FirstContact    Event = "first contact failed while the control plane was away"
	ServedOffline   Event = "a request succeeded while the control plane was away"
	ChangedMidway   Event = "routes changed while a request was under way"
	PolicyRefused   Event = "a request was refused by a route that closes it"
	PolicyAllowed   Event = "a private request was let through"
	OneWay          Event = "a path was cut in one direction"
	LongCut         Event = "a path was cut for longer than TCP waits"
	CallerGaveUp    Event = "a caller gave up"
	CalleeDied      Event = "an application died with requests under way"
	ProxyDied       Event = "a proxy died with requests under way"
	SlowReader      Event = "a reader was slow"
	HalfClosed      Event = "a conversation went on after one side had ended"
	Joined          Event = "a driver carried the bytes of a tunnel"
	Tier3           Event = "a request caused others through three tiers"
	Canary          Event = "a request went to the canary"
	QueueFull       Event = "an application's queue was full"
)

// Events lists them.
var Events = []Event{
	DrainRaced, DrainBusy, Retried, NotRetried, TriesUsedUp, IdentityRefused, ExpiredInOutage, AddressReused, FirstContact,
	ServedOffline, ChangedMidway, PolicyRefused, PolicyAllowed, OneWay, LongCut, CallerGaveUp, CalleeDied, ProxyDied,
	SlowReader, HalfClosed, Joined, Tier3, Canary, QueueFull,
}
