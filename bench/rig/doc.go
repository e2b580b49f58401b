// Package rig is what the benches build their laboratories of: network namespaces without names,
// processes that end with whoever started them, keys for peers that have no control plane, and
// failures told to a person. Package bench and bench/faults use it.
package rig
