package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// contents is the whole of what a configuration file may say. Pointers, so that a value that was not written is not a value.
type contents struct {
	Node   nodeTable   `toml:"node"`
	TLS    tlsTable    `toml:"tls"`
	Gossip gossipTable `toml:"gossip"`
	Backup backupTable `toml:"backup"`
	Log    logTable    `toml:"log"`
	Client clientTable `toml:"client"`
	Worker workerTable `toml:"worker"`
}

type nodeTable struct {
	Data           *string   `toml:"data"`
	Listen         *string   `toml:"listen"`
	Advertise      *string   `toml:"advertise"`
	Raft           *string   `toml:"raft"`
	RaftAdvertise  *string   `toml:"raft_advertise"`
	Bootstrap      *bool     `toml:"bootstrap"`
	Join           *[]string `toml:"join"`
	LogStore       *string   `toml:"log_store"`
	InsecureListen *bool     `toml:"insecure_listen"`

	ClusterName     *string `toml:"cluster_name"`
	BootstrapExpect *int64  `toml:"bootstrap_expect"`
	PromoteAfter    *string `toml:"promote_after"`
	DeadAfter       *string `toml:"dead_after"`
	DiskLowWater    *string `toml:"disk_low_water"`
	DiskReserve     *string `toml:"disk_reserve"`
	OperatorListen  *string `toml:"operator_listen"`
}

type tlsTable struct {
	CA   *string `toml:"ca"`
	Cert *string `toml:"cert"`
	Key  *string `toml:"key"`
}

type gossipTable struct {
	Listen    *string `toml:"listen"`
	Advertise *string `toml:"advertise"`
	Keys      *string `toml:"keys"`
}

type backupTable struct {
	Dir   *string `toml:"dir"`
	Every *string `toml:"every"`
	Keep  *int64  `toml:"keep"`
}

type logTable struct {
	Level *string `toml:"level"`
}

type clientTable struct {
	Endpoints *[]string `toml:"endpoints"`
	Output    *string   `toml:"output"`
	Timeout   *string   `toml:"timeout"`
}

type workerTable struct {
	Name     *string `toml:"name"`
	Lanes    *string `toml:"lanes"`
	Capacity *int64  `toml:"capacity"`
}

// File is a configuration file that was read and found free of unknown keys. Its values are kept as the text that the
// flag of the same meaning would take. A nil *File has no values.
type File struct {
	Path   string
	values map[string]string
}

// FileError is a configuration file that says something it may not say, with the place where it does.
type FileError struct {
	Path         string
	Line, Column int // from 1; 0: the file as a whole
	Message      string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Message)
}

// ReadFile reads a TOML file strictly: an unknown key is an error that names its line and the known key it resembles.
func ReadFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &FileError{Path: path, Message: err.Error()}
	}
	return parse(path, text)
}

func parse(path string, text []byte) (*File, error) {
	var c contents
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c)
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		first := &unknown.Errors[0]
		line, column := first.Position()
		return nil, &FileError{Path: path, Line: line, Column: column, Message: unknownKey(strings.Join(first.Key(), "."))}
	case errors.As(err, &bad):
		line, column := bad.Position()
		return nil, &FileError{Path: path, Line: line, Column: column, Message: strings.TrimPrefix(bad.Error(), "toml: ")}
	case err != nil:
		return nil, &FileError{Path: path, Message: strings.TrimPrefix(err.Error(), "toml: ")}
	}
	f := &File{Path: path, values: map[string]string{}}
	walk(reflect.ValueOf(c), "", func(key string, v reflect.Value) {
		if !v.IsNil() {
			f.values[key] = asFlag(v.Elem())
		}
	})
	return f, nil
}

// Value of a key such as "node.listen", as the text its flag takes, and whether the file has it.
func (f *File) Value(key string) (string, bool) {
	if f == nil {
		return "", false
	}
	v, ok := f.values[key]
	return v, ok
}

// Keys that a file may have, in the order of the tables above.
func Keys() []string {
	var keys []string
	walk(reflect.ValueOf(contents{}), "", func(key string, _ reflect.Value) { keys = append(keys, key) })
	return keys
}

func walk(v reflect.Value, prefix string, visit func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		key := prefix + v.Type().Field(i).Tag.Get("toml")
		if v.Field(i).Kind() == reflect.Struct {
			walk(v.Field(i), key+".", visit)
			continue
		}
		visit(key, v.Field(i))
	}
}

func asFlag(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

func unknownKey(key string) string {
	if near, ok := Nearest(key, Keys()); ok {
		return fmt.Sprintf("unknown key %q; did you mean %q?", key, near)
	}
	return fmt.Sprintf("unknown key %q; known are %s", key, strings.Join(Keys(), ", "))
}
