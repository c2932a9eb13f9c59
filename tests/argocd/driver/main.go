// Command driver starts Argo CD's own servers beside the plugin as it is shipped, asks them what Argo CD's
// controller and user interface ask, and says what came of it, one line for each case.
//
//	driver --servers FILE --generator FILE --plugin FILE --examples DIR --golden DIR [--update] [WORD...]
//	driver --sync --servers FILE --generator FILE --plugin FILE --examples DIR --controlplane FILE --crds DIR --install FILE
//	driver --bench --servers FILE --generator FILE --plugin FILE --helm FILE
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Given is what the command line says.
type Given struct {
	servers, generator, plugin, examples, golden, helm, controlplane, crds, install, sidecar string
	update                                                                                   bool
}

func main() {
	var given Given
	var bench, native, whole bool
	flag.StringVar(&given.servers, "servers", "", "Argo CD's servers")
	flag.StringVar(&given.generator, "generator", "", "the plugin's program")
	flag.StringVar(&given.plugin, "plugin", "", "plugin.yaml")
	flag.StringVar(&given.examples, "examples", "", "folder with examples")
	flag.StringVar(&given.golden, "golden", "", "folder with texts that were reviewed")
	flag.BoolVar(&given.update, "update", false, "write those texts anew")
	flag.BoolVar(&bench, "bench", false, "measure instead of testing")
	flag.StringVar(&given.helm, "helm", "", "Helm, to be measured beside")
	flag.BoolVar(&native, "native", false, "serve a file's text at a socket, as a plugin server that unpacks nothing")
	flag.BoolVar(&whole, "sync", false, "sync the examples into a real control plane")
	flag.StringVar(&given.controlplane, "controlplane", "", "what starts a control plane")
	flag.StringVar(&given.sidecar, "sidecar", "", "what runs the plugin server in a container, instead of a process")
	flag.StringVar(&given.install, "install", "", "file with the objects of an installation")
	flag.StringVar(&given.crds, "crds", "", "folder with Argo CD's resource definitions")
	flag.Parse()
	run := test
	if bench {
		run = measure
	}
	if whole {
		run = wholeWay
	}
	if native {
		run = func(_ Given, arguments []string) error { return serve(arguments[0], arguments[1]) }
	}
	if err := run(given, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}

// Room makes a folder that a sidecar's user may enter, with Argo CD's servers, and the plugin's program alone
// in `bin`.
func room(given Given) (string, error) {
	folder, err := os.MkdirTemp("", "argocd-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return "", err
	}
	if err := copyProgram(given.generator, filepath.Join(folder, "bin", "pso-gen")); err != nil {
		return "", err
	}
	return folder, copyProgram(given.servers, filepath.Join(folder, "argocd"))
}

func copyProgram(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

// Write puts files into a folder; keys are paths below it.
func write(folder string, files map[string]string) error {
	for path, text := range files {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if target, is := strings.CutPrefix(text, "-> "); is {
			if err := os.Symlink(target, path); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
