// Package state is the control plane's directory: one owner at a time, files replaced as a whole
// and never readable by others. It knows nothing of what the files mean.
package state
