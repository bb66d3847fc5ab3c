package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func env(pairs map[string]string) Lookup {
	return func(name string) (string, bool) {
		v, ok := pairs[name]
		return v, ok
	}
}

func file(t *testing.T, text string) *File {
	t.Helper()
	f, err := parse("f.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPrecedence: flag, variable, file, default, in every combination.
func TestPrecedence(t *testing.T) {
	settings := []Setting{{Flag: "listen", Env: "FAIRLANE_LISTEN", Key: "node.listen"}}
	for _, c := range []struct {
		args []string
		env  map[string]string
		file string
		want string
	}{
		{want: "default"},
		{file: "[node]\nlisten='file'", want: "file"},
		{env: map[string]string{"FAIRLANE_LISTEN": "env"}, want: "env"},
		{env: map[string]string{"FAIRLANE_LISTEN": "env"}, file: "[node]\nlisten='file'", want: "env"},
		{env: map[string]string{"FAIRLANE_LISTEN": ""}, file: "[node]\nlisten='file'", want: "file"},
		{args: []string{"--listen=flag"}, want: "flag"},
		{args: []string{"--listen=flag"}, file: "[node]\nlisten='file'", want: "flag"},
		{args: []string{"--listen=flag"}, env: map[string]string{"FAIRLANE_LISTEN": "env"}, want: "flag"},
		{args: []string{"--listen=flag"}, env: map[string]string{"FAIRLANE_LISTEN": "env"}, file: "[node]\nlisten='file'", want: "flag"},
		{args: []string{"--listen="}, env: map[string]string{"FAIRLANE_LISTEN": "env"}, want: ""},
	} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		got := flags.String("listen", "default", "")
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if err := Apply(flags, settings, env(c.env), file(t, c.file)); err != nil {
			t.Fatal(err)
		}
		if *got != c.want {
			t.Errorf("%v %v %q: got %q, want %q", c.args, c.env, c.file, *got, c.want)
		}
	}
}

func TestApplyTypes(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	join := flags.StringSlice("join", nil, "")
	bootstrap := flags.Bool("bootstrap", false, "")
	settings := []Setting{{Flag: "join", Key: "node.join"}, {Flag: "bootstrap", Key: "node.bootstrap", Env: "B"}, {Flag: "other", Env: "B"}}
	f := file(t, "[node]\njoin=['a:1','b:2']\nbootstrap=true")
	if err := Apply(flags, settings, env(nil), f); err != nil {
		t.Fatal(err)
	}
	if strings.Join(*join, " ") != "a:1 b:2" || !*bootstrap {
		t.Errorf("join %v, bootstrap %v", *join, *bootstrap)
	}
	flags = pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Bool("bootstrap", false, "")
	err := Apply(flags, settings, env(map[string]string{"B": "maybe"}), f)
	var bad *SettingError
	if !errors.As(err, &bad) || bad.Origin != "B" || bad.Value != "maybe" {
		t.Errorf("got %v", err)
	}
}

func TestStrictFile(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[node]\nlisten='a'\nlisen='b'", `f.toml:3:1: unknown key "node.lisen"; did you mean "node.listen"?`},
		{"[nod]\nlisten='a'", `f.toml:1:2: unknown key "nod"`},
		{"[node]\nzzzzzz=1", `f.toml:2:1: unknown key "node.zzzzzz"; known are node.data, `},
		{"[node]\nbootstrap='yes'", "f.toml:2:"},
		{"[node]\nlisten=1", "f.toml:2:"},
		{"[node\n", "f.toml:1:"},
		{"[node]\nlisten='a'\nlisten='b'", "f.toml"},
	} {
		_, err := parse("f.toml", []byte(c.text))
		var bad *FileError
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s...", c.text, err, c.want)
		}
	}
	if _, err := ReadFile(t.TempDir() + "/missing.toml"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestKeysAreSettable: the list of keys and the tables cannot drift apart.
func TestKeysAreSettable(t *testing.T) {
	for _, k := range Keys() {
		table, name, _ := strings.Cut(k, ".")
		for _, value := range []string{"'5s'", "true", "5", "['a']"} {
			f, err := parse("f.toml", []byte("["+table+"]\n"+name+"="+value))
			if err != nil {
				continue
			}
			if _, ok := f.Value(k); !ok {
				t.Errorf("%s = %s was read and lost", k, value)
			}
		}
	}
	if len(Keys()) < 10 {
		t.Errorf("only %d keys", len(Keys()))
	}
}
