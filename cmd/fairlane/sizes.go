package main

import "fmt"

// parseSize reads a size in the units of the lane grammar; empty: 0.
func parseSize(flag, text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	var n uint64
	var unit string
	if _, err := fmt.Sscanf(text, "%d%s", &n, &unit); err == nil && n > 0 {
		for name, shift := range map[string]uint{"KiB": 10, "MiB": 20, "GiB": 30} {
			if unit == name && n <= 1<<63>>shift {
				return n << shift, nil
			}
		}
	}
	return 0, usagef("--%s %q: want a whole number of KiB, MiB or GiB, for example 512MiB", flag, text)
}
