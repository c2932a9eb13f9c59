package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// checkRefused makes sure that the checks can fail. Every file of the folder begins with a line that
// names the check that it must fail, and words that the reason has in it:
//
//	# fails: dry run is accepted: unknown field
//
// There must be a file for each check that is called proven.
func checkRefused(cluster *cluster, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		claim, found := strings.CutPrefix(first, "# fails: ")
		check, reason, hasReason := strings.Cut(claim, ": ")
		if !found || !hasReason {
			return fmt.Errorf("%s does not begin with `# fails: CHECK: REASON`", file)
		}

		result := checkInput(cluster, "", file)
		if result.err == nil {
			return fmt.Errorf("%s passes every check", file)
		}
		if result.failed != check || !strings.Contains(result.err.Error(), reason) {
			return fmt.Errorf("%s fails otherwise: %s: %w", file, result.failed, result.err)
		}
		fmt.Printf("ok   %s is refused: %s: %s\n", filepath.Base(file), check, reason)
		seen[check] = true
	}
	for _, check := range checks {
		if check.proven && !seen[check.name] {
			return fmt.Errorf("nothing fails the check %q", check.name)
		}
	}
	return nil
}
