// Command findings holds what kube-score has found against a list of waivers: whatever is not waived
// is a failure, and so is a waiver that nothing needs any more.
//
//	findings WAIVERS SCORES
//
// SCORES is a folder of kube-score's answers in JSON, one for each input.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: findings WAIVERS SCORES")
		os.Exit(2)
	}
	good, err := judge(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "findings:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

func judge(waiversFile, scores string) (bool, error) {
	waivers, err := readWaivers(waiversFile)
	if err != nil {
		return false, err
	}
	files, err := filepath.Glob(filepath.Join(scores, "*.json"))
	if err != nil {
		return false, err
	}

	// Of each finding, the inputs in which it is.
	open := map[string][]string{}
	waived := 0
	for _, file := range files {
		findings, err := readFindings(file)
		if err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
		for _, finding := range findings {
			if anyCovers(waivers, finding) {
				waived++
				continue
			}
			text := finding.check + " " + finding.place + ": " + finding.summary
			open[text] = append(open[text], strings.TrimSuffix(filepath.Base(file), ".json"))
		}
	}

	for _, text := range slices.Sorted(maps.Keys(open)) {
		inputs := slices.Compact(open[text])
		fmt.Printf("FAIL kube-score: %s (%d inputs, such as %s)\n", text, len(inputs), inputs[0])
	}
	unused := 0
	for _, waiver := range waivers {
		if !waiver.used {
			fmt.Printf("FAIL %s:%d: nothing needs this waiver\n", waiversFile, waiver.line)
			unused++
		}
	}
	if len(files) == 0 || len(open) > 0 || unused > 0 {
		fmt.Printf("FAIL kube-score: of %d inputs, %d findings, %d waivers without use\n", len(files), len(open), unused)
		return false, nil
	}
	fmt.Printf("ok   kube-score: %d inputs, %d findings are waived by %d waivers\n", len(files), waived, len(waivers))
	return true, nil
}

// A finding is one thing that kube-score minds.
type finding struct {
	check string
	// KIND/NAME, or KIND/NAME/CONTAINER
	place   string
	summary string
}

// The grade of a check that has nothing to mind. Below it come remarks, warnings and critical ones.
const allOK = 10

func readFindings(file string) ([]finding, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []struct {
		Type struct{ Kind string } `json:"type_meta"`
		Meta struct{ Name string } `json:"object_meta"`

		Checks []struct {
			Check    struct{ ID string }
			Grade    int
			Skipped  bool
			Comments []struct{ Path, Summary string }
		}
	}
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, err
	}
	var findings []finding
	for _, object := range objects {
		for _, check := range object.Checks {
			if check.Skipped || check.Grade >= allOK {
				continue
			}
			if len(check.Comments) == 0 {
				return nil, fmt.Errorf("%s says nothing about %s", check.Check.ID, object.Meta.Name)
			}
			for _, comment := range check.Comments {
				place := object.Type.Kind + "/" + object.Meta.Name
				if comment.Path != "" {
					place += "/" + comment.Path
				}
				findings = append(findings, finding{check.Check.ID, place, comment.Summary})
			}
		}
	}
	return findings, nil
}
