package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress tells how far the job is: a bar that redraws itself on a terminal, a line every two seconds otherwise. Notes are
// lines that stay in both.
type Progress struct {
	out      io.Writer
	terminal bool
	total    int
	began    time.Time
	said     time.Time
}

// NewProgress begins to count the time now.
func NewProgress(out io.Writer, terminal bool, total int) *Progress {
	return &Progress{out: out, terminal: terminal, total: total, began: time.Now(), said: time.Now()}
}

// Show is called as often as one likes; it says something when it is due.
func (p *Progress) Show(done int, nodes string) {
	const width = 40
	now := time.Now()
	if p.terminal {
		full := width * done / max(1, p.total)
		fmt.Fprintf(p.out, "\r[%s%s] %5d/%d  %5.1f s  %s ", strings.Repeat("#", full), strings.Repeat(".", width-full), done, p.total,
			now.Sub(p.began).Seconds(), nodes)
		return
	}
	if now.Sub(p.said) >= 2*time.Second {
		p.said = now
		fmt.Fprintf(p.out, "%6.1f s  %d of %d done  %s\n", now.Sub(p.began).Seconds(), done, p.total, nodes)
	}
}

// Note prints a line that stays.
func (p *Progress) Note(format string, args ...any) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// End leaves the bar.
func (p *Progress) End() {
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}
