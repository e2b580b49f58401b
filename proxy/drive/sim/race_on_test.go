//go:build race

package sim_test

// One loop has no races; a few seeds show that it is one.
const seedsByDefault = 2
