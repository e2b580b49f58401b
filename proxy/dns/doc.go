// Package dns is the resolver that a captured application talks to.
//
// It gives every service of the mesh a virtual address of its own, so that a connection tells
// by its destination which service was meant (Server.Lookup), and passes every other name on to
// the machine's own resolvers. It never invents an answer: a name is of the mesh only if Names
// says so. Package core's drivers start it on inherited sockets; it opens none but those it asks
// upstream resolvers with.
package dns
