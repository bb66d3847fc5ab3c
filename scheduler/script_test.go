package scheduler

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden output of the scripts anew")

// TestScripts runs testdata/*.txt. A line is a command, a comment (#) or, when
// it starts with two blanks, the output of the command above. Each script runs
// twice: on a board that is kept, and on one that is rebuilt before every line.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(content), "# ") {
				t.Fatal("a script starts with a comment that says what it proves")
			}
			got := runScript(t, string(content), false)
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(content) {
				t.Errorf("got:\n%s\nRead the difference; run with -rewrite if it is right.", got)
			}
			if again := runScript(t, string(content), true); again != got {
				t.Errorf("with a board rebuilt before every line:\n%s\nkept:\n%s", again, got)
			}
		})
	}
}

// script is the state of one run. A job's user is the letter of its name.
type script struct {
	turns  facts
	model  *naive // holds the facts from which a board is rebuilt
	board  *Board
	names  map[string]Job
	byID   map[JobID]string
	place  Place
	fence  Fence
	parked *Waiters
}

func runScript(t *testing.T, content string, rebuild bool) string {
	turns := facts{}
	s := &script{turns: turns, model: newNaive(turns, RoundRobin), board: NewBoard(turns, RoundRobin),
		names: map[string]Job{}, byID: map[JobID]string{}, parked: NewWaiters()}
	var out strings.Builder
	for number, line := range strings.Split(strings.TrimSuffix(content, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		if rebuild {
			s.rebuild()
		}
		result, err := s.run(strings.Fields(line))
		if err != nil {
			t.Fatalf("line %d %q: %v", number+1, line, err)
		}
		if result != "" {
			fmt.Fprintf(&out, "  %s\n", result)
		}
		if err := checkBoard(s.board); err != nil {
			t.Fatalf("line %d %q: %v", number+1, line, err)
		}
	}
	return out.String()
}

func (s *script) rebuild() {
	s.board = NewBoard(s.turns, s.model.defaultMode)
	for i := len(s.model.jobs) - 1; i >= 0; i-- {
		s.board.Add(s.model.jobs[i])
	}
	for q, m := range s.model.modes {
		s.board.SetMode(q, m)
	}
	(&history{model: s.model}).gates(s.board)
}

func (s *script) run(words []string) (string, error) {
	args, set := split(words[1:])
	switch words[0] {
	case "add":
		return "", s.add(args, set)
	case "claim", "next":
		return s.claim(words[0] == "claim", args, set)
	case "remove":
		for _, name := range args {
			s.board.Remove(s.names[name].ID)
			s.model.remove(s.names[name].ID)
		}
	case "release", "retry": // back in the old place, or in a new one
		for _, name := range args {
			j := s.names[name]
			if words[0] == "retry" {
				s.place++
				j.Place = s.place
			}
			s.put(name, j)
		}
	case "close", "open":
		return "", s.gate(words[0] == "close", set)
	case "mode":
		return "", s.mode(args)
	case "front":
		if highest, found := s.board.FrontPriority(args[0], args[1]); found {
			return strconv.Itoa(int(highest)), nil
		}
		return "none", nil
	case "waiting":
		return fmt.Sprintf("%d, %d in %s", s.board.Waiting(), s.board.WaitingIn(args[0]), args[0]), nil
	case "sequence":
		return s.sequence(args[0]), nil
	case "park", "unpark", "wake":
		return s.waiters(words[0], args, set)
	default:
		return "", fmt.Errorf("unknown command")
	}
	return "", nil
}

// sequence lists the waiting jobs of a coordinator; the head stands alone before a bar if it stands in the lines.
func (s *script) sequence(coordinator string) string {
	var words []string
	for i, id := range s.board.Sequence(coordinator, 100) {
		words = append(words, s.byID[id])
		if i == 0 && s.board.Stands(id) {
			words = append(words, "|")
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%d: %s", s.board.WaitingOf(coordinator), strings.Join(words, " ")))
}

// split parts plain words from key=value.
func split(words []string) (args []string, set map[string]string) {
	set = map[string]string{}
	for _, word := range words {
		if key, value, has := strings.Cut(word, "="); has {
			set[key] = value
		} else {
			args = append(args, word)
		}
	}
	return args, set
}

func (s *script) put(name string, j Job) {
	s.names[name], s.byID[j.ID] = j, name
	s.board.Add(j)
	s.model.jobs = append(s.model.jobs, j)
}

func (s *script) add(names []string, set map[string]string) error {
	priority, err := strconv.ParseInt("0"+strings.TrimPrefix(set["priority"], "-"), 10, 32)
	if err != nil {
		return err
	}
	if strings.HasPrefix(set["priority"], "-") {
		priority = -priority
	}
	size, err := sizeOf(set["memory"])
	if err != nil {
		return err
	}
	queue := set["queue"]
	if queue == "" {
		queue = "default"
	}
	for _, name := range names {
		s.place++
		j := Job{ID: JobID(len(s.byID) + 1), Queue: queue, User: name[:1], Priority: int32(priority), Place: s.place, Size: size}
		if j.Coordinator = set["coordinator"]; j.Coordinator != "" {
			if j.Due, err = strconv.ParseInt(set["due"], 10, 64); err != nil {
				return err
			}
		}
		s.put(name, j)
	}
	return nil
}

func sizeOf(memory string) (Size, error) {
	if memory == "" {
		return 0, nil
	}
	bytes, ok := parseMemory(memory)
	if !ok {
		return 0, fmt.Errorf("memory %q", memory)
	}
	return SizeOf(bytes), nil
}

func (s *script) offer(chain string, set map[string]string) (o Offer, err error) {
	o.Chain = strings.Split(chain, ">")
	if free := set["free"]; free != "" {
		o.Limited = true
		if free != "0" {
			var ok bool
			if o.FreeBytes, ok = parseMemory(free); !ok {
				return o, fmt.Errorf("free %q", free)
			}
		}
	}
	o.User, o.OnlyUser = set["user"]
	for _, name := range strings.FieldsFunc(set["not"], func(r rune) bool { return r == ',' }) {
		o.Excluded = append(o.Excluded, s.names[name].ID)
	}
	return o, nil
}

// claim takes times=N jobs, or all that the offer can get.
func (s *script) claim(take bool, args []string, set map[string]string) (string, error) {
	o, err := s.offer(args[0], set)
	if err != nil {
		return "", err
	}
	times := 1 << 20
	if set["times"] != "" {
		if times, err = strconv.Atoi(set["times"]); err != nil {
			return "", err
		}
	}
	if !take {
		times = 1
	}
	var got []string
	for range times {
		pick, ok := s.board.Next(o)
		if !ok {
			got = append(got, "nothing")
			break
		}
		got = append(got, s.byID[pick.Job.ID])
		if len(o.Chain) > 1 {
			got[len(got)-1] += fmt.Sprintf("(%s,%d)", pick.Line, pick.Position)
		}
		if !take {
			break
		}
		s.board.Remove(pick.Job.ID)
		s.model.remove(pick.Job.ID)
		if s.fence++; !o.OnlyUser {
			s.turns[[2]string{pick.Line, pick.Job.User}] = s.fence
			s.board.Served(pick.Line, pick.Job.User)
		}
	}
	return strings.Join(got, " "), nil
}

func (s *script) gate(closing bool, set map[string]string) error {
	if c, has := set["coordinator"]; has {
		s.model.busy[c] = closing
		(&history{model: s.model}).gates(s.board)
		return nil
	}
	q, hasQueue := set["queue"]
	u, hasUser := set["user"]
	switch {
	case hasQueue && hasUser:
		s.model.closedIn[[2]string{q, u}] = closing
	case hasQueue:
		s.model.closedQueue[q] = closing
	case hasUser:
		s.model.closedUser[u] = closing
	default:
		return fmt.Errorf("queue= or user= or both, or coordinator=")
	}
	(&history{model: s.model}).gates(s.board)
	return nil
}

func (s *script) mode(args []string) error {
	m := RoundRobin
	if args[1] == FIFO.String() {
		m = FIFO
	} else if args[1] != m.String() {
		return fmt.Errorf("mode %q", args[1])
	}
	if args[0] == Any {
		s.model.defaultMode = m
		s.board.SetDefaultMode(m)
		return nil
	}
	s.model.modes[args[0]] = m
	s.board.SetMode(args[0], m)
	return nil
}

func (s *script) waiters(command string, args []string, set map[string]string) (string, error) {
	if command == "wake" {
		size, err := sizeOf(set["memory"])
		if err != nil {
			return "", err
		}
		age, ok := s.parked.Wake(args[0], set["user"], size)
		if !ok {
			return "none", nil
		}
		return strconv.FormatUint(age, 10), nil
	}
	age, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return "", err
	}
	if command == "unpark" {
		return strconv.FormatBool(s.parked.Unpark(age)), nil
	}
	o, err := s.offer(args[1], set)
	if err == nil {
		s.parked.Park(age, o)
	}
	return "", err
}
