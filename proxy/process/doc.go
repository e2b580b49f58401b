// Package process puts a proxy together: listeners, driver, agent, admin pages, DNS; and takes it
// down again. It is what cmd/weft-proxy runs.
package process
