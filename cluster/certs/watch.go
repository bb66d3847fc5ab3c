package certs

import (
	"context"
	"os"
	"time"
)

// lookEvery is how often the files are looked at.
const lookEvery = 5 * time.Second

// Watch reloads the files when one of them was changed, at most 5 s later, and whenever now says so, until ctx ends. tell gets the outcome of every
// attempt. A set of files that do not fit each other is tried again when one more has changed: the former certificate serves meanwhile.
func (b *Bundle) Watch(ctx context.Context, now <-chan os.Signal, tell func(Info, error)) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	seen := b.files.stamps()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-now:
			asked = true
		case <-look.C:
		}
		if stamps := b.files.stamps(); asked || stamps != seen {
			seen = stamps
			err := b.Reload()
			tell(b.Info(), err)
		}
	}
}

// stamp tells one content of a file from another.
type stamp struct {
	changed time.Time
	bytes   int64
}

func (f Files) stamps() (out [3]stamp) {
	for i, path := range [...]string{f.CA, f.Cert, f.Key} {
		if info, err := os.Stat(path); err == nil {
			out[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return out
}
