// Package overload keeps an application from being given more than it can do. A Guard stands before
// one port of an application, on one loop of its proxy, and says of each request whether it goes to
// the application, waits, or is refused:
//
//	limit  how many requests the application has at a time, found from its latency   limit.go
//	usual  what kinds of requests take when nothing is wrong                          usual.go
//	queue  who waits: by priority, fair between callers, not for long                 queue.go
//	shed   who is refused at once, the least important first                          shed.go
//	claim  what a request says of itself: priority, time left, request tree           claim.go
//
// It is on by default, so its first duty is to do no harm: nothing is limited until the application
// is seen to fall behind. See limit.go.
//
// Everything is pure state: time is passed in, nothing blocks, nothing here is safe for concurrent
// use. In steady state nothing is allocated.
//
// Sources: Netflix, concurrency-limits (Gradient2); Nichols and Jacobson, "Controlling Queue Delay"
// (ACM Queue 2012); Maurer, "Fail at Scale" (ACM Queue 2015); Zhou et al., "Overload Control for
// Scaling WeChat Microservices" (SoCC 2018); Google, "Handling Overload" (SRE book).
package overload
