package codes

// IsWarning reports whether a code of configuration is about something odd rather than wrong:
// what was written is in force.
func IsWarning(code string) bool { return warnings[code] }

var warnings = map[string]bool{
	"W1005": true, "W1209": true, "W1212": true, "W1213": true, "W1214": true, "W1216": true, "W1218": true, "W1219": true,
}

// W1: configuration. W10xx files and fields, W11xx the rules of Gateway API, W12xx references
// between objects.
func init() {
	const check = "\n    weft check DIR"
	register(
		Entry{"W1001", "A file or directory cannot be read", "weft could not list a directory or open a file of the configuration. What was last read from it stays in force.", "Give the user that runs weft the right to read it, or correct the path.\n    ls -ld DIR\n    id"},
		Entry{"W1002", "A file is not YAML", "The file breaks YAML's grammar, so nothing behind that place can be understood. The objects that the file held when it was last right stay in force.", "Mend the line. Usual causes are a tab, unequal indentation, and a missing blank after a colon." + check},
		Entry{"W1003", "A file is too large, too deep or says too much", "A file may have 1 MiB, 32 levels and 200,000 values (aliases counted at each use). The bound keeps one file from costing the control plane its memory. The last good objects of the file stay in force.", "Split the file; write aliases out." + check},
		Entry{"W1004", "Unknown kind or apiVersion", "The object's apiVersion and kind are none that weft reads, yet close to one. The object is not in force.", "Correct apiVersion and kind; the message names the nearest." + check},
		Entry{"W1005", "An object that weft does not use", "The object is of a kind that belongs to another system. weft passes over it. This is a warning.", "Nothing need be done. To silence the warning, keep such objects in another directory."},
		Entry{"W1006", "A value has the wrong type", "A field wants a string, number, boolean, list or mapping and got something else. The object is not in force; an earlier good version of it stays.", "Often quotes are missing (\"1\" is a string, 1 is a number) or too many." + check},
		Entry{"W1007", "A value is none of those allowed", "The field has a fixed set of values, and case matters. The object is not in force; an earlier good version of it stays.", "Write one of the values that the message lists." + check},
		Entry{"W1008", "A field is written twice", "The same name occurs twice in one mapping, so one of the values would be lost. The object is not in force; an earlier good version of it stays.", "Remove one of the two." + check},
		Entry{"W1009", "A required field is missing", "The object cannot be understood without the field. It is not in force; an earlier good version of it stays.", "Add the field." + check},
		Entry{"W1010", "Unknown field", "No field of that name exists at that place. weft refuses it because an ignored field is a wish that silently does not come true. The object is not in force; an earlier good version of it stays.", "Correct the name (the message names the nearest), or move the field to where it belongs." + check},
		Entry{"W1011", "A number, length or count is out of range", "The value is outside the range that Kubernetes or Gateway API allow. The object is not in force; an earlier good version of it stays.", "Write a value in the range that the message names." + check},
		Entry{"W1012", "An item occurs twice in a list", "The list is a set, or its items are told apart by a field, and two are the same. The object is not in force; an earlier good version of it stays.", "Remove one, or join the two." + check},
		Entry{"W1013", "A file has more errors than are shown", "So that one file cannot flood the terminal, at most 100 errors of a file are shown.", "Mend the first ones and check again; later errors often follow from earlier ones." + check},
		Entry{"W1014", "A value does not have the right form", "The field wants a host name, duration, label, address or the like. The object is not in force; an earlier good version of it stays.", "Write it as in the example in the message." + check},
		Entry{"W1015", "The directory holds too much", "At most 10,000 files, 1,000 directories and 64 MiB are read from a directory. What is beyond is not in force.", "Give weft a directory that holds its configuration only.\n    find DIR -name '*.y*ml' | wc -l"},
		Entry{"W1016", "The directory cannot be watched", "The system refused to watch a directory for changes. weft looks for changes twice a second instead.", "On Linux, allow more watches:\n    sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances\n    sudo sysctl -w fs.inotify.max_user_instances=1024"},

		Entry{"W1101", "A filter's type and its fields do not agree", "A filter carries the one field that is named like its type, and no other. The route is not accepted; an earlier good version of it stays.", "Correct type, or the field's name." + check},
		Entry{"W1102", "Filters repeat or exclude each other", "A rule has each filter once (mirrors may repeat), and never both RequestRedirect and URLRewrite. The route is not accepted; an earlier good version of it stays.", "Join the repeated filters, or split the rule." + check},
		Entry{"W1103", "A path that can never match", "Requests are matched by their normalized path: it begins with /, has no empty or dot segments, no encoded slash and no fragment. The route is not accepted; an earlier good version of it stays.", "Write the path as it is after normalization." + check},
		Entry{"W1104", "A rule both redirects and forwards", "A redirected request reaches no backend. The route is not accepted; an earlier good version of it stays.", "Remove the backendRefs or the RequestRedirect filter." + check},
		Entry{"W1105", "ReplacePrefixMatch without one prefix", "Replacing the matched prefix makes sense only if there is exactly one match, and that of type PathPrefix. The route is not accepted; an earlier good version of it stays.", "Split the rule, one for each prefix." + check},
		Entry{"W1106", "Timeouts contradict each other", "One try (backendRequest) cannot be allowed more time than the whole request. The route is not accepted; an earlier good version of it stays.", "Lower backendRequest, or raise request." + check},
		Entry{"W1107", "A regular expression is not valid or too large", "Expressions are RE2, so that no request can make matching slow, and bounded in size. The route is not accepted; an earlier good version of it stays.", "Write it in RE2's syntax; there is no look-around and no back-reference." + check},
		Entry{"W1108", "Too many matches in one route", "A route may have 128 matches in all its rules together. It is not accepted; an earlier good version of it stays.", "Split the route in two with the same parentRefs." + check},
		Entry{"W1109", "Two rules have the same name", "Rules are told apart by name in reasons and metrics. The route is not accepted; an earlier good version of it stays.", "Rename one." + check},
		Entry{"W1110", "A parent is named twice", "Several parentRefs to one Service must name different ports. The route is not accepted; an earlier good version of it stays.", "Give each parentRef a port of its own, or remove all but one." + check},
		Entry{"W1111", "\"*\" beside other values in a CORS filter", "\"*\" already allows everything. The route is not accepted; an earlier good version of it stays.", "Keep \"*\" alone, or remove it." + check},
		Entry{"W1112", "A mirror's share is contradictory", "A mirror takes either percent or fraction, and a fraction is at most 1. The route is not accepted; an earlier good version of it stays.", "Keep one of the two." + check},
		Entry{"W1113", "A gRPC match that can never match", "A method match names a service, a method or both, each in the form of protobuf's names. The route is not accepted; an earlier good version of it stays.", "Write service: package.Service and method: Method, without slashes." + check},
		Entry{"W1114", "A feature that weft does not carry out", "The field is part of Gateway API, and weft does not do it yet. A route that asks for it is not accepted: doing it by half could be unsafe. An earlier good version of the route stays.", "Remove the field." + check},
		Entry{"W1115", "A header that a route must not change", "The header frames the message or belongs to the connection; the proxy writes it. The route is not accepted; an earlier good version of it stays.", "Remove it from the filter. To change the host, use URLRewrite with hostname." + check},
		Entry{"W1117", "A new path is not a path", "A rewrite or redirect would write a path that no server understands. The route is not accepted; an earlier good version of it stays.", "Begin it with / and percent-encode special characters." + check},

		Entry{"W1201", "A route's parent does not exist", "The route names a Service that is neither in the configuration nor registered by weft run. The route has no effect there until the Service exists.", "Correct the name or the namespace, or start the service.\n    weft status\n    weft check DIR"},
		Entry{"W1202", "A route's parent has no such port", "The parentRef names a port or sectionName that the Service does not have. The route has no effect there.", "Write the Service's port (not the workload's), or leave port and sectionName out to attach to all ports." + check},
		Entry{"W1203", "A backend does not exist", "The backendRef names a Service that is neither in the configuration nor registered. Its share of requests is answered with status 500 until it exists.", "Correct the name or the namespace, or start the service.\n    weft status\n    weft check DIR"},
		Entry{"W1204", "A backend has no such port", "The Service exists and does not have the port. Its share of requests is answered with status 500.", "Write the Service's port (not the workload's)." + check},
		Entry{"W1205", "A reference to another namespace is not permitted", "A backend in another namespace must be permitted by a ReferenceGrant there. Its share of requests is answered with status 500.", "Ask the owners of that namespace to add a ReferenceGrant; the message shows one." + check},
		Entry{"W1206", "A backend of a kind that weft does not know", "Backends are Services. The backend's share of requests is answered with status 500.", "Write kind: Service and group: \"\", or leave both out." + check},
		Entry{"W1207", "An object is written twice", "Two objects have the same kind, namespace and name. The first, by the order of file names and lines, is in force; the other is not.", "Remove or rename one." + check},
		Entry{"W1208", "A parent of a kind that weft does not know", "Routes of a mesh are attached to Services. Without group and kind, Gateway API means a Gateway. The route has no effect there.", "Write group: \"\" and kind: Service in the parentRef." + check},
		Entry{"W1209", "Unknown application protocol", "The appProtocol is none that weft knows, so the first bytes of each connection decide. This is a warning.", "Write http, http2, kubernetes.io/h2c, grpc, https, tls, tcp or weft.dev/opaque." + check},
		Entry{"W1210", "Two ports of an object conflict", "Two ports of a Service or Workload have the same name or number. The first is in force.", "Rename or renumber one; a Service with several ports must name each." + check},
		Entry{"W1211", "Two workloads claim the same address and port", "An address and port can belong to one instance only, or a proxy would present the wrong identity. The first, by namespace and name, is in force.", "Correct the addresses or ports." + check},
		Entry{"W1212", "A service selects no workload", "The selector matches the labels of no workload in its namespace, and no EndpointSlice lists endpoints. Requests are answered with status 503. This is a warning.", "Correct the selector, or start the workload with these labels.\n    weft status"},
		Entry{"W1213", "A workload does not have the service's target port", "The Service's targetPort names a port that the workload does not have, so the workload is no endpoint of that port. This is a warning.", "Name the workload's port, or write its number as targetPort." + check},
		Entry{"W1214", "A match that is never reached", "Another rule of equal precedence has the same match and goes first: the older route, then the one first by namespace and name, then the earlier rule. This is a warning.", "Remove one of the two, or make one more specific.\n    weft explain GET URL --from WORKLOAD"},
		Entry{"W1215", "An endpoint's address is not valid", "An EndpointSlice lists an address that is not of its addressType. That endpoint is left out; the others are in force.", "Write an address of the slice's addressType." + check},
		Entry{"W1216", "An EndpointSlice belongs to no service", "The slice has no label kubernetes.io/service-name, or the Service it names does not exist or has no such port. The slice has no effect. This is a warning.", "Add the label, or correct it." + check},
		Entry{"W1217", "A route that cannot work on its parent's protocol", "The parent's port is declared to speak a protocol that this kind of route cannot look into. The route is not accepted there.", "Declare the right appProtocol on the Service's port, or use a route of the right kind." + check},
		Entry{"W1218", "A registered workload and a Service disagree", "A running workload asked to stand for a Service, and the Service of that name does not select it or lacks its port. The Service, as written, wins. This is a warning.", "Correct the selector or targetPort of the Service, or the labels and port of the workload.\n    weft status"},
		Entry{"W1219", "A service outside the mesh", "The Service is of type ExternalName. It has no endpoints in the mesh; what is sent to it as a backend is answered with status 503. This is a warning.", "Use a Service without selector and an EndpointSlice with the addresses." + check},
	)
}
