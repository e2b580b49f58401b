// Package resilience says when a request is tried again, after which wait, and how much of that is
// too much: retry budgets, causes, backoff, the latency after which a second request is worth its
// cost, and the text forms of deadlines.
//
// It is pure: values and functions of what they are given. Time and randomness are passed in, nothing
// blocks, nothing is shared. The data path (proxy/core) keeps a value for each destination of a loop
// and acts on what they say.
//
// Sources: Finagle, service/RetryBudget and service/RequeueFilter; Google, "Site Reliability
// Engineering", chapter 22; Dean and Barroso, "The Tail at Scale" (CACM 2013); gRFC A6; GEP-1731 and
// GEP-3388 of Gateway API.
package resilience
