//go:build !linux

package node

import "errors"

func play(string) error { return errors.New("no roles on this system") }
