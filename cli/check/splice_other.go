//go:build !linux

package check

import "errors"

// spliced: only Linux can.
func spliced() (size int, err error) { return 0, errors.New("only Linux can splice") }
