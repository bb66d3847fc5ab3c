package scheduler

// Lane is one slice of a worker's capacity.
type Lane struct {
	Chain       []string // queue names by preference, each once; Any only last
	Slots       uint32   // 1 <= Slots <= 2147483647
	MemoryBytes uint64   // 0: no budget
}

// LaneError says which token of a lane configuration is wrong, and how.
type LaneError struct {
	Code    string // missing_count, ...
	Token   string
	Offset  int // of the token in the string, in bytes
	Message string
}

func (e *LaneError) Error() string { return e.Message }

// Warning is something accepted that is probably not meant.
type Warning struct {
	Code    string
	Token   string
	Offset  int
	Message string
}

// ParseLanes reads a lane configuration. The error is a *LaneError.
func ParseLanes(s string) ([]Lane, []Warning, error) { return nil, nil, nil }

// FormatLanes writes lanes as ParseLanes reads them.
func FormatLanes(lanes []Lane) string { return "" }

// ValidName reports whether s can name a queue: 1 to 64 letters, digits or underscores.
func ValidName(s string) bool { return false }
