package config

// Nearest finds the word that a mistyped one most likely meant. More than a third of its letters and
// one wrong is no likeness. Ties go to the word that comes first.
func Nearest(typed string, words []string) (string, bool) {
	best, least := "", len(typed)/3+2
	for _, w := range words {
		if d := editDistance(typed, w); d < least {
			best, least = w, d
		}
	}
	return best, best != ""
}

// editDistance counts the insertions, deletions and replacements of bytes that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
