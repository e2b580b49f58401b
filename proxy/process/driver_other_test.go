//go:build !linux

package process

const driverOfThisSystem = "net"
