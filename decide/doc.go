// Package decide is the decision: what is done with one request, and why.
//
// Compile turns a View (what a proxy knows of the mesh) into a Table; Table.Decide takes one
// request and answers which rule of which route applies, which backend gets it, or how it is
// answered instead. The data path, `weft explain`, tests and the simulator all call this code.
// It is pure: no I/O, no clock, no goroutine, no random source (Query.Rand is passed in), and a
// decision without reasons allocates nothing.
//
// # Which routes apply
//
// The routes attached to one port of a Service (GAMMA, GEP-1294) form groups: those of the
// Service's own namespace (producer routes) and those of each other namespace (consumer routes).
// A client whose namespace has a group of its own for the port is decided by that group alone;
// everybody else by the producer's. Without any route the Service itself is the backend.
//
// Within a group, gRPC requests are decided by the GRPCRoutes if there are any, else by the
// HTTPRoutes; other HTTP requests by the HTTPRoutes; connections with an SNI by the TLSRoutes;
// and whatever found none of its kind by the TCPRoutes. A request for which only routes of other
// kinds are attached is refused, not sent past them: its kind is chosen by the client (a
// content-type, the first bytes), so anything else would be a way around the routes.
//
// hostnames of HTTPRoutes and GRPCRoutes are ignored, as GEP-1294 asks of meshes; a header match
// on "host" compares the canonical host. TLSRoutes have no other match than hostnames, so for
// them they are compared with the SNI, most specific first.
//
// # Choices that Gateway API leaves open
//
//   - Regular expressions are RE2, anchored at both ends. A RegularExpression path ranks below
//     Exact and above PathPrefix (else a catch-all prefix would shadow every expression), the
//     longer expression first.
//   - A field that a request repeats is compared as one value, joined with ", " (RFC 9110 section
//     5.3), cookie with "; " (RFC 9113 section 8.2.3). So the match sees every value, never only
//     the first. Of a repeated query parameter the first value counts.
//   - What cannot be compiled denies: a broken expression counts as matching, and its rule
//     answers 500.
//   - A CORS preflight is matched like any OPTIONS request.
//
// # The canonical form
//
// Canonicalize makes the one form of host and path on which routing and policy decide and which
// is forwarded. Forms on which servers are known to disagree are refused (400):
// %2F, %5C, %00, backslash, control bytes, fragments, invalid UTF-8, a missing leading slash,
// broken percent-encoding, ".." above the root, and a path parameter behind an empty or dot
// segment ("/..;/", "/;/"), which some servers strip before they resolve dots.
//
// Repeated slashes are merged. Refusing them would break the many clients that join a base URL
// and a path carelessly, passing them on would let "//admin" past a match on "/admin" (nginx and
// most frameworks merge them); merged, what is decided on is what the backend sees. Other path
// parameters ("/cart;v=1/x") are kept: they are legitimate, and a segment with parameters is
// simply another segment to every match here. Whoever runs a backend that ignores parameters
// (Tomcat, Jetty) should allow paths rather than deny them.
package decide
