package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/pelletier/go-toml/v2"
)

// changesFile is what a file of changes may say. Values are what the flags of the same meaning take.
type changesFile struct {
	Settings        map[string]any            `toml:"settings"`
	Queue           map[string]map[string]any `toml:"queue"`
	Lanes           map[string]string         `toml:"lanes"`
	Worker          map[string]string         `toml:"worker"`
	WithoutRecorded bool                      `toml:"without_recorded"`
}

// ReadFile adds the changes that a TOML file says, strictly.
func (c *Changes) ReadFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f changesFile
	err = toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&f)
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		line, column := unknown.Errors[0].Position()
		return fmt.Errorf("%s:%d:%d: unknown key; known are settings, queue, lanes, worker and without_recorded", path, line, column)
	case errors.As(err, &bad):
		line, column := bad.Position()
		return fmt.Errorf("%s:%d:%d: %w", path, line, column, err)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := f.addTo(c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (f changesFile) addTo(c *Changes) error {
	for _, key := range sorted(f.Settings) {
		if err := c.Set(key, fmt.Sprint(f.Settings[key])); err != nil {
			return err
		}
	}
	for _, queue := range sorted(f.Queue) {
		for _, key := range sorted(f.Queue[queue]) {
			if err := c.SetQueue(queue, key, fmt.Sprint(f.Queue[queue][key])); err != nil {
				return fmt.Errorf("queue %s: %w", queue, err)
			}
		}
	}
	for _, worker := range sorted(f.Lanes) {
		if err := c.SetLanes(worker, f.Lanes[worker]); err != nil {
			return err
		}
	}
	for _, worker := range sorted(f.Worker) {
		if err := c.AddWorker(worker, f.Worker[worker]); err != nil {
			return err
		}
	}
	c.WithoutRecorded = c.WithoutRecorded || f.WithoutRecorded
	return nil
}
