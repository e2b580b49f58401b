// Package bugs describes the bugs that can be planted (package planted), and finds them.
package bugs

import "github.com/weft-mesh/weft/planted"

// Bug is one planted bug.
type Bug struct {
	planted.Bug
	Name string
	What string // the mistake
	Harm string // to users
}

// All lists the bugs of the data path.
var All = []Bug{
	{planted.AnyIdentity, "AnyIdentity", "a link is used whoever answers", "requests reach a stranger who has the address now"},
	{planted.PoolForAnyPeer, "PoolForAnyPeer", "links are kept by address only", "after an address is used again, the endpoint cannot be reached"},
	{planted.LinkForAnyCaller, "LinkForAnyCaller", "workloads of one proxy share links", "one acts in the other's name"},
	{planted.RetryStalePost, "RetryStalePost", "any request is repeated if a used connection breaks", "an order is placed twice"},
	{planted.RetryBroken, "RetryBroken", "a request is repeated after a connection broke under it", "an order is placed twice"},
	{planted.ForgetGoAway, "ForgetGoAway", "GOAWAY is ignored", "deployments cost errors"},
	{planted.DropHalfClose, "DropHalfClose", "the end of one direction of a tunnel is not passed on", "conversations hang"},
	{planted.LoseCredit, "LoseCredit", "a slow reader's credit is not returned", "downloads stall"},
	{planted.LeakEndpointCount, "LeakEndpointCount", "a cancelled request is not taken off its endpoint's count", "endpoints look busy for ever"},
	{planted.ForgetReset, "ForgetReset", "a cancelled request is not reset on the link", "streams and memory leak"},
	{planted.StaleEndpoints, "StaleEndpoints", "a set of endpoints is never brought up to date", "requests go to endpoints that have left"},
	{planted.CountTwice, "CountTwice", "a request counts twice at its endpoint", "endpoints look busy for ever"},
	{planted.TryForEver, "TryForEver", "attempts are not bounded", "a service that is down is hammered"},
	{planted.NeverForgive, "NeverForgive", "an endpoint's bad latency does not fade", "a workload that was slow once stays idle"},
	{planted.LostTable, "LostTable", "some tables are not put in force", "rules that were changed stay as they were"},
	{planted.PlaintextFallback, "PlaintextFallback", "a link that fails its handshake is tried without TLS", "requests are readable on the wire"},
	{planted.ForgedIdentity, "ForgedIdentity", "fields that only proxies may set are taken from callers", "anybody can claim to be anybody"},
	{planted.NoBackPressure, "NoBackPressure", "responses are read however slow their reader is", "memory grows without bound"},
	{planted.DrainAtOnce, "DrainAtOnce", "a draining proxy closes its links at once", "deployments cost errors"},
	{planted.ForgetWaiters, "ForgetWaiters", "requests that wait for a link are not told when it fails", "they hang for ten seconds"},
	{planted.KeepDeadLink, "KeepDeadLink", "a broken link stays in its pool", "no more links are made"},
	{planted.LoseHeldBody, "LoseHeldBody", "what came of a body before there was a connection is lost", "uploads are cut"},
}
