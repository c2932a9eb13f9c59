// Command checks holds apps against a real API server: what pso-gen renders must be accepted, must
// stay as it is when it is applied again, and its pods must meet exactly the Pod Security level that
// the Namespace claims.
//
//	checks --kubeconfig FILE --controlplane FILE --gateway-api FOLDER [--keep-going] [--refused FOLDER] PSO-GEN INPUT...
//
// It needs a control plane on which nobody else works (`start --api-only`).
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "administrator of the control plane")
	binary := flag.String("controlplane", "", "binary that is kubectl")
	gateway := flag.String("gateway-api", "", "folder with the Gateway API's resource definitions")
	keepGoing := flag.Bool("keep-going", false, "check the other inputs as well when one fails")
	refused := flag.String("refused", "", "folder with manifests of which each must fail the check that it names")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage: checks FLAGS PSO-GEN INPUT...")
		os.Exit(2)
	}

	cluster, err := connect(*kubeconfig, *binary)
	report("control plane", "reachable", err)
	report("control plane", "has the Gateway API", cluster.installDefinitions(*gateway))
	report("control plane", "Pod Security refuses a privileged pod", cluster.preparePodSecurity())

	if *refused != "" {
		report(*refused, "every check can fail", checkRefused(cluster, *refused))
	}

	failed := false
	for _, path := range flag.Args()[1:] {
		outcome := checkInput(cluster, flag.Arg(0), path)
		for _, line := range outcome.passed {
			fmt.Printf("ok   %s: %s\n", path, line)
		}
		if outcome.err != nil {
			fmt.Printf("FAIL %s: %s: %v\n", path, outcome.failed, outcome.err)
			failed = true
			if !*keepGoing {
				break
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

// An outcome is what became of one input.
type outcome struct {
	// The checks that it has passed, with a note on each.
	passed []string
	// The check that it has failed, and why.
	failed string
	err    error
}

// checkInput runs every check on one input, up to the first that fails, and leaves an empty cluster.
func checkInput(cluster *cluster, generator, path string) (result outcome) {
	input, err := load(cluster, generator, path)
	if err != nil {
		return outcome{failed: "can be read", err: err}
	}
	defer func() {
		if err := cluster.remove(input); err != nil && result.err == nil {
			result.failed, result.err = "can be removed", err
		}
	}()
	for _, check := range checks {
		note, err := check.run(cluster, input)
		if err != nil {
			result.failed, result.err = check.name, err
			return result
		}
		result.passed = append(result.passed, fmt.Sprintf("%s (%s)", check.name, note))
	}
	return result
}

// report prints the outcome of what everything after it rests on, and ends the run when it is bad.
func report(about, what string, err error) {
	if err != nil {
		fmt.Printf("FAIL %s: %s: %v\n", about, what, err)
		os.Exit(1)
	}
	fmt.Printf("ok   %s: %s\n", about, what)
}
