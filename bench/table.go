package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// report is one whole run.
type report struct {
	Machine machine  `json:"machine"`
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds"` // of each measurement
	Systems []system `json:"-"`
	// Notes are sentences: what was left out and what failed.
	Notes   []string `json:"notes,omitempty"`
	figures figures
}

// writeJSON prints the report as one object.
func (r *report) writeJSON(w io.Writer) error {
	type figure struct {
		row
		System string   `json:"system"`
		Aim    *float64 `json:"aim,omitempty"`
		Met    *bool    `json:"met,omitempty"`
		summary
	}
	out := struct {
		*report
		Versions map[string]string `json:"versions"`
		Figures  []figure          `json:"figures"`
	}{report: r, Versions: make(map[string]string)}
	for _, s := range r.Systems {
		out.Versions[s.name] = s.version
		for _, line := range rows {
			rounds := r.figures[s.name][line.Name]
			if len(rounds) == 0 {
				continue
			}
			f := figure{row: line, System: s.name, summary: summarize(rounds)}
			if aim := line.aimOf(s.name); aim != 0 {
				met := line.met(f.Median, aim)
				f.Aim, f.Met = &aim, &met
			}
			out.Figures = append(out.Figures, f)
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// writeMarkdown prints the report for people.
func (r *report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	fmt.Fprintf(&b, "Medians of %d rounds of %gs each, least and most in brackets. All systems took turns on this machine, load included.\n\n", r.Rounds, r.Seconds)
	var shown, references []system
	for _, s := range r.Systems {
		switch {
		case len(r.figures[s.name]) == 0: // nothing to show
		case s.reference:
			references = append(references, s)
		default:
			shown = append(shown, s)
		}
	}
	r.writeTable(&b, shown, false)
	if len(references) > 0 {
		b.WriteString("\nWhat the machine gave in the same run:\n\n")
		r.writeTable(&b, references, true)
	}
	b.WriteString("\n")
	for _, s := range r.Systems {
		fmt.Fprintf(&b, "- %s: %s\n", s.name, s.version)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable of some systems: the references, or all others with the aims.
func (r *report) writeTable(b *strings.Builder, systems []system, reference bool) {
	header, line := "| what |", "|---|"
	for _, s := range systems {
		header += " " + s.name + " |"
		line += "---|"
	}
	if !reference {
		header += " aim | met |"
		line += "---|---|"
	}
	fmt.Fprintf(b, "%s\n%s\n", header, line)
	for _, of := range rows {
		if of.reference != reference || !r.has(systems, of.Name) {
			continue
		}
		fmt.Fprintf(b, "| %s |", of.Title)
		for _, s := range systems {
			fmt.Fprintf(b, " %s |", r.cell(s.name, of))
		}
		if !reference {
			fmt.Fprintf(b, " %s | %s |", of.aimText(), r.verdict(systems, of))
		}
		b.WriteString("\n")
	}
}

func (r *report) has(systems []system, row string) bool {
	for _, s := range systems {
		if len(r.figures[s.name][row]) > 0 {
			return true
		}
	}
	return false
}

func (r *report) cell(system string, of row) string {
	rounds := r.figures[system][of.Name]
	if len(rounds) == 0 {
		return "-"
	}
	s := summarize(rounds)
	text := number(s.Median, of.decimals)
	if len(rounds) > 1 {
		text += fmt.Sprintf(" (%s-%s)", number(s.Min, of.decimals), number(s.Max, of.decimals))
	}
	return text
}

// verdict says for each system with an aim whether its median reaches it.
func (r *report) verdict(systems []system, of row) string {
	var parts []string
	for _, s := range systems {
		rounds, aim := r.figures[s.name][of.Name], of.aimOf(s.name)
		if len(rounds) == 0 || aim == 0 {
			continue
		}
		word := "no"
		if of.met(summarize(rounds).Median, aim) {
			word = "yes"
		}
		parts = append(parts, strings.TrimPrefix(s.name, "Fairlane ")+" "+word)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// number with commas between thousands.
func number(value float64, decimals int) string {
	text := strconv.FormatFloat(value, 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
