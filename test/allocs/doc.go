// Package allocs holds the data path to its promise that nothing of it allocates once buffers and
// tables have grown. Only tests use it.
package allocs
