package main

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// A waiver says that a finding is no fault, and why.
type waiver struct {
	line int
	// The check by its name in kube-score.
	check string
	// KIND/NAME, or KIND/NAME/CONTAINER; `*` stands for any letters but `/`.
	place string
	used  bool
}

// readWaivers reads lines of CHECK PLACE REASON, or of `#` and a remark.
func readWaivers(file string) ([]*waiver, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var waivers []*waiver
	for i, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 3 {
			return nil, fmt.Errorf("%s:%d: a waiver is CHECK PLACE REASON", file, i+1)
		}
		if _, err := path.Match(words[1], ""); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", file, i+1, words[1], err)
		}
		waivers = append(waivers, &waiver{line: i + 1, check: words[0], place: words[1]})
	}
	return waivers, nil
}

// anyCovers tells whether a finding is waived, and marks every waiver that does so as used.
func anyCovers(waivers []*waiver, finding finding) bool {
	covered := false
	for _, waiver := range waivers {
		if matched, _ := path.Match(waiver.place, finding.place); matched && waiver.check == finding.check {
			waiver.used = true
			covered = true
		}
	}
	return covered
}
