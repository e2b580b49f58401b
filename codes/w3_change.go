package codes

// W3330 to W3339: changing a running mesh: faults made on purpose, route tokens.
func init() {
	register(
		Entry{"W3330", "A fault answered instead of the service",
			"A TrafficPolicy asks for a fault: this share of the requests is answered with the status that it names, and no backend sees them. They are counted under this code and not among the requests of the service.",
			"See which policy asks for it, and take the fault out of it when the test is over:\n    weft explain METHOD URL --from WORKLOAD"},
		Entry{"W3331", "The route token is refused",
			"A request carries a route token (header weft-route, or member weft.route of baggage) to a service that takes such tokens, and the token cannot be used: it is not one, was not signed with the key of the service's policy, has expired, is for another trust domain, or a second one that differs came along. Refused with 403 (gRPC: PERMISSION_DENIED), since a request of a test run must not be served by production instead. New tokens are verified a bounded number of times a second for each workload; beyond it they are refused too.",
			"Sign a new one, with the key that the policy names and for this mesh:\n    weft route-token sign --key route.key -n NAMESPACE FROM=TO\n    weft route-token key route.key"},
		Entry{"W3332", "A fault reset the request",
			"A TrafficPolicy asks for a fault: this share of the requests is ended without an answer, by resetting the stream (HTTP/2) or closing the connection (HTTP/1).",
			"See which policy asks for it, and take the fault out of it when the test is over:\n    weft explain METHOD URL --from WORKLOAD"},
		Entry{"W3333", "A fault delayed the request",
			"A TrafficPolicy asks for a fault: this share of the requests waits before it is sent to a backend. The wait counts against the request's timeout. The code only counts them, the responses are the service's own.",
			"See which policy asks for it, and take the fault out of it when the test is over:\n    weft explain METHOD URL --from WORKLOAD"},
		Entry{"W3334", "A fault slows the response down",
			"A TrafficPolicy asks for a fault: the responses of this share of the requests are passed on with so many bytes a second. The code only counts them, the responses are the service's own.",
			"See which policy asks for it, and take the fault out of it when the test is over:\n    weft explain METHOD URL --from WORKLOAD"},
		Entry{"W3335", "The route token leads nowhere",
			"The route token of a request is valid, and the service that it leads to does not exist, has no such port, or is in a namespace that no route could lead this request to: only that of the service that was addressed, or the caller's own. Refused, since a request of a test run must not be served by production instead.",
			"See what there is, and sign a token that names it:\n    weft status -o wide\n    weft route-token sign --key route.key -n NAMESPACE FROM=TO"},
		Entry{"W3336", "The key of route tokens cannot be used",
			"The file that `weft route-token` was given does not hold an Ed25519 private key in PEM (PKCS #8), cannot be read or written, or can be read by others, who could then sign as well.",
			"Make one, or close the one that is there:\n    weft route-token key route.key\n    chmod 600 route.key"},
	)
}
