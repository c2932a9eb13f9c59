// Replaces variables in manifests as Flux' postBuild does, by Flux' own library, and exits with 1 when that changes
// one: standard input is a YAML stream, and standard output is the stream that Flux would apply.
//
// https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
)

const disabled = "kustomize.toolkit.fluxcd.io/substitute: disabled"

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// Every variable has a value, so that each one that is replaced shows.
	replaced := func(name string) (string, bool) { return "REPLACED-" + name, true }
	objects, left, changed := 0, 0, 0
	for _, object := range strings.Split("\n"+string(text), "\n---\n") {
		if strings.TrimSpace(object) == "" {
			continue
		}
		objects++
		after := object
		if strings.Contains(object, "\n    "+disabled+"\n") {
			left++
		} else if after, err = envsubst.Eval(object, replaced); err != nil || after != object {
			changed++
			fmt.Fprintln(os.Stderr, "changed:", summary(object), err)
		}
		fmt.Printf("---\n%s\n", strings.TrimSuffix(after, "\n"))
	}
	fmt.Fprintf(os.Stderr, "%d objects, %d of them left alone, %d changed\n", objects, left, changed)
	if changed > 0 || objects == 0 {
		os.Exit(1)
	}
}

// summary returns an object's kind and name.
func summary(object string) string {
	var words []string
	for _, line := range strings.Split(object, "\n") {
		if strings.HasPrefix(line, "kind: ") || strings.HasPrefix(line, "  name: ") {
			words = append(words, strings.TrimSpace(line))
		}
	}
	return strings.Join(words, ", ")
}
