//go:build linux

package interop

import "os"

// full says that whole suites are wanted (WEFT_INTEROP=full) where `make test` runs a part: all
// compressions of Connect's, all cases of compression of WebSocket's. It takes some minutes.
func full() bool { return os.Getenv("WEFT_INTEROP") == "full" }
