// Package mesh lives through one life of a simulated mesh: applications in tiers behind the real
// proxies' core (proxy/drive/sim), users who ask them, deployments and changes of routes, and
// whatever can go wrong. A seed decides all of it, so a life is repeated by its seed, exactly.
//
// A life is either calm, when nothing happens but what a careful operator does, and then nothing may
// fail at all; or stormy: then faults come for some seconds, all are repaired, and from two seconds
// later on nothing may fail. What must hold is judged by package invariant.
//
//	users ─► edge ─► front ─► cart ─► stock      (HTTP; a part of stock's requests may go to next)
//	              └► talk                        (opaque conversations, half-closed; one server is
//	                                              behind the edge's own proxy)
package mesh
