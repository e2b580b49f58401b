package codes

// W41 and W42: joining a process to the mesh (`weft run`).
func init() {
	register(
		Entry{
			Code:  "W4101",
			Title: "a port given to weft run cannot be read",
			Means: "--port takes a number, or a name and a number, and what is spoken there: 8081, web=8081, 9090:grpc, web=8081:http. Nothing was started.",
			Fix:   "Correct the flag. Protocols are http, http2, grpc, tcp, tls; leave it out to have weft look at the first bytes.\n    weft run --name cart --port web=8081:http -- ./cart",
		},
		Entry{
			Code:  "W4102",
			Title: "a name given to weft run is not a DNS label",
			Means: "Names of workloads, services and namespaces become parts of DNS names and of identities: lower-case letters, digits and hyphens, at most 63, a letter or digit at both ends. Nothing was started.",
			Fix:   "Choose another name.\n    weft run --name my-cart --port 8081 -- ./cart",
		},
		Entry{
			Code:  "W4103",
			Title: "weft run has no command to run",
			Means: "What comes after -- is the application. Nothing was started.",
			Fix:   "Name the program after two hyphens.\n    weft run --name cart --port 8081 -- ./cart",
		},
		Entry{
			Code:  "W4104",
			Title: "the application could not be started",
			Means: "The program after -- is missing, or may not be executed. Its proxy was stopped again and nothing is left. The exit code is 127 for a missing program and 126 for one that may not be executed, as shells have it.",
			Fix:   "Check the path and the mode of the program.\n    ls -l ./cart\n    command -v cart",
		},
		Entry{
			Code:  "W4110",
			Title: "the weft-proxy program was not found",
			Means: "Every joined process has a proxy beside it, a program of its own. It is looked for beside the weft program and then in PATH. Nothing was started.",
			Fix:   "Install weft-proxy beside weft, or say where it is.\n    weft run --proxy-binary /path/to/weft-proxy --name cart --port 8081 -- ./cart",
		},
		Entry{
			Code:  "W4111",
			Title: "the proxy did not become ready",
			Means: "weft-proxy ended, or did not tell in time that its listeners are bound, that it has an identity and that it knows the mesh. The application was not started and nothing is left.",
			Fix:   "Read the reason given; most often the control plane is not running.\n    weft status\n    weft up ./mesh",
		},
		Entry{
			Code:  "W4112",
			Title: "the proxy ended and is being started again",
			Means: "The proxy of a joined process ended while the application runs. It is started again on the same addresses, at once and then after growing pauses. Requests in flight in it were lost; new ones fail until it is back, within a fraction of a second as a rule.",
			Fix:   "If it repeats, the last lines of the proxy are in the message; please report them.\n    weft status",
		},
		Entry{
			Code:  "W4113",
			Title: "the services of the namespace could not be listed",
			Means: "weft run asks the control plane which services exist, for the WEFT_<SERVICE>_URL variables. The application was not started.",
			Fix:   "Start the control plane, or name another one.\n    weft status\n    weft up ./mesh",
		},
		Entry{
			Code:  "W4114",
			Title: "not every service got an address of its own",
			Means: "weft run gives each port of each service of the namespace a local address, for WEFT_<SERVICE>_URL, up to a limit. Services beyond it are reached through http_proxy.",
			Fix:   "Call services by name through the proxy variables, which HTTP clients and gRPC honour.\n    curl http://cart/",
		},
		Entry{
			Code:  "W4115",
			Title: "a proxy setting of the environment is replaced or kept",
			Means: "http_proxy was set when weft run started. The application's plain HTTP goes through the mesh instead; an https_proxy that was set is kept. HTTP to places that are reached only through the former proxy will fail.",
			Fix:   "Add such places to no_proxy, or unset http_proxy before weft run.\n    no_proxy=intranet.example weft run --name cart --port 8081 -- ./cart",
		},
		Entry{
			Code:  "W4120",
			Title: "the runtime directory cannot be used",
			Means: "weft run keeps a socket and small files of each run in a directory that only its user may enter. It is missing and cannot be made, or belongs to somebody else, or others may enter it. Nothing was started.",
			Fix:   "Give a directory of your own.\n    WEFT_RUNTIME_DIR=$HOME/.weft weft run --name cart --port 8081 -- ./cart",
		},
		Entry{
			Code:  "W4150",
			Title: "transparent capture is not possible here",
			Means: "--transparent gives the application a network namespace of its own, which needs Linux and root. Nothing was started.",
			Fix:   "Use sudo, or leave out --transparent; http_proxy and WEFT_<SERVICE>_URL need no root.\n    weft run --name cart --port 8081 -- ./cart",
		},
		Entry{
			Code:  "W4151",
			Title: "the network namespace could not be prepared",
			Means: "The kernel refused one of the steps of --transparent; the message names it. Everything made before was removed again. Nothing was started.",
			Fix:   "Load the kernel modules, or allow the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN.\n    sudo modprobe -a veth nf_tables nft_chain_nat nft_redir nft_reject_inet nf_conntrack",
		},
	)
}
