// Package compile gives objects their meaning: from what users wrote and which workloads are
// alive it makes the services, endpoints and routes of the mesh.
//
// It is a pure function of its input: no I/O, no clock, no goroutine, and the same input gives the
// same output in the same order. The control plane calls it after every change, `weft check` on
// files alone, the simulator in its own time. It never fails as a whole: whatever is wrong is told
// as a coded error and has the effect that Gateway API prescribes, and everything else stands.
package compile
