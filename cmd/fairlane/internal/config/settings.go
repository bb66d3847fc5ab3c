// Package config answers one question about every setting: which value does it have, and who said so. A flag beats the
// environment, the environment beats the file, the file beats the default.
package config

import (
	"fmt"

	"github.com/spf13/pflag"
)

// Setting binds a flag to the other two places where its value may be given.
type Setting struct {
	Flag string
	// Env is the variable; empty: none. A variable that is set to nothing counts as not set.
	Env string
	// Key in the file, for example "node.listen"; empty: none.
	Key string
}

// Lookup finds a variable of the environment; os.LookupEnv outside tests.
type Lookup func(name string) (string, bool)

// SettingError is a value that its setting cannot take. Origin says where it was given: a variable, or a key of the file.
type SettingError struct {
	Origin string
	Value  string
	Err    error
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("%s = %q: %v", e.Origin, e.Value, e.Err)
}

func (e *SettingError) Unwrap() error { return e.Err }

// Apply gives every flag that was not set on the command line the value of its variable, else that of the file. Settings
// whose flag the set does not have are passed over, so that one list can serve all verbs.
func Apply(flags *pflag.FlagSet, settings []Setting, env Lookup, file *File) error {
	for _, s := range settings {
		f := flags.Lookup(s.Flag)
		if f == nil || f.Changed {
			continue
		}
		origin, value, ok := find(s, env, file)
		if !ok {
			continue
		}
		if err := flags.Set(s.Flag, value); err != nil {
			return &SettingError{Origin: origin, Value: value, Err: err}
		}
	}
	return nil
}

// Resolved is a setting with its value, and who said so: a flag, a variable, a key of the file, or "default".
type Resolved struct {
	Setting
	Value, Origin string
}

// Resolve tells for each setting whose flag the set has what Apply would make of it. It sets nothing; call it before Apply, which
// hides who gave a value.
func Resolve(flags *pflag.FlagSet, settings []Setting, env Lookup, file *File) []Resolved {
	var out []Resolved
	for _, s := range settings {
		f := flags.Lookup(s.Flag)
		if f == nil {
			continue
		}
		r := Resolved{Setting: s, Value: f.Value.String(), Origin: "default"}
		if f.Changed {
			r.Origin = "--" + s.Flag
		} else if origin, value, ok := find(s, env, file); ok {
			r.Value, r.Origin = value, origin
		}
		out = append(out, r)
	}
	return out
}

func find(s Setting, env Lookup, file *File) (origin, value string, ok bool) {
	if s.Env != "" {
		if v, ok := env(s.Env); ok && v != "" {
			return s.Env, v, true
		}
	}
	if s.Key != "" {
		if v, ok := file.Value(s.Key); ok {
			return file.Path + ": " + s.Key, v, true
		}
	}
	return "", "", false
}
