// Command history keeps the results of the bench, one file a release, and draws them over time.
//
//	go run ./bench/history -add dist/bench.jsonl -version v1.2.0
//	go run ./bench/history                                          # draws the plot anew
//
// It reads the JSON lines that `go run ./bench -json FILE` writes, by the names of their fields: what
// it does not know it passes on or leaves out, so that the bench may grow. A release is written to
// results/DATE-VERSION.json; the plot of all of them is docs/performance-history.svg. What is
// compared over time are ratios to peers of the same run, never absolute figures: machines change.
package main
