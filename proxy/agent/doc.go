// Package agent is the proxy's side of the control plane: goroutines beside the data path's
// loops that keep an identity and a registration for each workload and one view for all of them,
// and carry telemetry away.
//
// It hands whole immutable tables to the data path and takes names to subscribe to from it;
// nothing here is ever waited for by a request, except at first contact with a new destination.
// While the control plane is away everything goes on from the last good view, which is kept on
// disk too. Keys are kept in memory only; a supervisor that outlives the proxy (weft run) holds
// one with a Keeper and hands it to a restarted proxy through an inherited pipe.
package agent
