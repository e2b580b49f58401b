// Package demo runs a whole mesh on one machine to look at: a control plane in this process, and
// the services of package shop, each a process of its own that is joined as any other would be,
// with a proxy of its own; load; and one planted fault.
//
// It owns the order of starting and stopping, the temporary directory, and the verdict on a run.
// It is called by the verb demo, needs no root, no network and no Docker, and leaves nothing
// behind: not a process, not a socket, not a file.
package demo

import "embed"

// files are the shop's mesh configuration, written to a directory that the user may edit.
//
//go:embed mesh/*.yaml
var files embed.FS
