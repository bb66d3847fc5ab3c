package schedulefile

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place in a file, from 1.
type place struct{ line, column int }

// places says where each key of a file stands, by its path: "group", "defaults.queue", "schedule.0.spec", and "schedule.0" for the table.
type places map[string]place

// findPlaces of a text that was read before, so that it is known to be TOML. What lies inside a value has no place of its own.
func findPlaces(text []byte) places {
	found := places{}
	tables := map[string]int{} // arrays of tables, and how many they have
	var p unstable.Parser
	p.Reset(text)
	at := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable && e.Kind != unstable.KeyValue {
			continue
		}
		path := ""
		if e.Kind == unstable.KeyValue {
			path = at
		}
		var first *unstable.Node
		keys := e.Key()
		for keys.Next() {
			key := keys.Node()
			if first == nil {
				first = key
			}
			path = join(path, string(key.Data))
			if n := tables[path]; n > 0 && (e.Kind == unstable.Table || !keys.IsLast()) {
				path = join(path, strconv.Itoa(n-1))
			}
		}
		if e.Kind == unstable.ArrayTable {
			tables[path]++
			path = join(path, strconv.Itoa(tables[path]-1))
		}
		if e.Kind != unstable.KeyValue {
			at = path
		}
		start := p.Shape(first.Raw).Start
		found.add(path, place{start.Line, start.Column})
	}
	return found
}

// add a path and, if they have none yet, the tables around it.
func (p places) add(path string, where place) {
	for {
		if _, known := p[path]; known {
			return
		}
		p[path] = where
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 {
			return
		}
		path = path[:cut]
	}
}

// of a path, or of the nearest thing around it that has a place.
func (p places) of(path string) place {
	for {
		if where, known := p[path]; known {
			return where
		}
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 {
			return place{}
		}
		path = path[:cut]
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
