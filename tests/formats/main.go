// Formats writes, for each format that Kubernetes defines, a table of texts with the verdict of Kubernetes' own code.
//
//	formats FOLDER HTTPROUTE-CRD ZONEINFO-ZIP ZONES
//
// A line has the verdict (`yes` or `no`), the text, and its value where Kubernetes reads one, with tabs between them.
// A text that begins with a quotation mark is a JSON string; every other is written as it is.
package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// A format: where its texts come from, and what Kubernetes says of one.
type format struct {
	name string
	// Who uses it and by which function Kubernetes decides, for people.
	about string
	seeds []string
	// Characters that matter to it: mutations insert them.
	letters string
	// Returns whether Kubernetes accepts a text, and the value that it reads.
	verdict func(text string) (bool, string)
}

// Lines of a table at most, without the seeds.
const most = 420

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: formats FOLDER HTTPROUTE-CRD ZONEINFO-ZIP ZONES")
		os.Exit(2)
	}
	formats, err := formats(os.Args[2])
	if err == nil {
		err = write(os.Args[1], formats)
	}
	if err == nil {
		err = writeZones(os.Args[3], os.Args[4])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "formats:", err)
		os.Exit(1)
	}
}

func write(folder string, formats []format) error {
	for _, format := range formats {
		var table strings.Builder
		fmt.Fprintf(&table, "# %s\n", format.about)
		for _, text := range cases(format.seeds, format.letters) {
			accepted, value := format.verdict(text)
			verdict := "no"
			if accepted {
				verdict = "yes"
			}
			line := verdict + "\t" + cell(text)
			if accepted && value != "" {
				line += "\t" + value
			}
			table.WriteString(line + "\n")
		}
		path := filepath.Join(folder, format.name+".tsv")
		if err := os.WriteFile(path, []byte(table.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Writes the names of the time zones that Go has and Kubernetes accepts.
func writeZones(archive, path string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer reader.Close()
	var names []string
	for _, file := range reader.File {
		if timeZone(file.Name) {
			names = append(names, file.Name+"\n")
		}
	}
	sort.Strings(names)
	return os.WriteFile(path, []byte(strings.Join(names, "")), 0o644)
}

// Writes a text so that it can be read again: as it is where nothing in it is invisible.
func cell(text string) string {
	plain := text != "" && text == strings.TrimSpace(text) && !strings.HasPrefix(text, `"`)
	for _, character := range text {
		plain = plain && character >= ' ' && character <= '~'
	}
	if plain {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}
