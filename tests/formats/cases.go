package main

import "strings"

// Returns the seeds and, after them, a fixed choice of their mutations, each text once.
func cases(seeds []string, letters string) []string {
	var all []string
	seen := map[string]bool{}
	add := func(text string) bool {
		if seen[text] {
			return false
		}
		seen[text] = true
		all = append(all, text)
		return true
	}
	for _, seed := range seeds {
		add(seed)
	}
	var mutated []string
	for index, seed := range seeds {
		mutated = append(mutated, mutations(seed, letters, index)...)
		mutated = append(mutated, crossed(seed, seeds[(index+1)%len(seeds)]))
	}
	// Evenly over all of them, so that no seed is left out.
	step := max(1, len(mutated)/most)
	for start := 0; start < step; start++ {
		for index := start; index < len(mutated); index += step {
			if len(all) >= len(seeds)+most {
				return all
			}
			add(mutated[index])
		}
	}
	return all
}

// Returns texts that differ from one in one place, and some in their whole form.
func mutations(text, letters string, salt int) []string {
	found := []string{
		"", " " + text, text + " ", text + "\n", text + text, strings.ToUpper(text), strings.ToLower(text),
		strings.ReplaceAll(text, " ", "  "), strings.ReplaceAll(text, " ", "\t"), text + "é", text + "\u00a0",
	}
	for _, at := range places(len(text)) {
		before, here, after := text[:at], text[at:at+1], text[at+1:]
		found = append(found, before+after, before+here+here+after)
		if after != "" {
			found = append(found, before+after[:1]+here+after[1:])
		}
		for turn := range 3 {
			letter := letters[(salt*7+at*3+turn)%len(letters)]
			found = append(found, before+string(letter)+after, before+string(letter)+here+after)
		}
	}
	for turn := range 4 {
		letter := string(letters[(salt*5+turn)%len(letters)])
		found = append(found, text+letter, letter+text)
	}
	return found
}

// Returns the positions to change: all of a short text, the ends and the middle of a long one.
func places(length int) []int {
	var found []int
	for at := range length {
		if length <= 40 || at < 3 || at >= length-3 || at == length/2 {
			found = append(found, at)
		}
	}
	return found
}

// Returns the first half of a text with the second half of another.
func crossed(first, second string) string {
	return first[:len(first)/2] + second[len(second)/2:]
}
