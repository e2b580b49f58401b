// Package node holds what needs privilege on a machine: network namespaces joined by a veth
// pair, nftables rules inside them, mounts seen by one process only.
//
// Its callers are package join (`weft run --transparent`) and the command line's checks. Nothing
// it makes has a name in /run/netns and nothing on the host is edited but one link and its
// addresses: namespaces are anonymous and live exactly as long as the processes and descriptors
// that hold them, so the kernel cleans up by itself, even after kill -9. It never changes the
// host's ruleset, sysctls, routes or /etc.
package node
