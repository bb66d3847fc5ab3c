package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// machine says where the figures come from.
type machine struct {
	CPUs    int     `json:"cpus"`
	Model   string  `json:"model,omitempty"`
	Kernel  string  `json:"kernel,omitempty"`
	Go      string  `json:"go"`
	FsyncMS float64 `json:"fsync_p50_ms"` // of 4 KiB appended and fsynced
}

func (m machine) String() string {
	text := fmt.Sprintf("Machine: %d CPUs", m.CPUs)
	if m.Model != "" {
		text += " (" + m.Model + ")"
	}
	if m.Kernel != "" {
		text += ", " + m.Kernel
	}
	return fmt.Sprintf("%s, %s; 4 KiB appended and fsynced in %.2f ms (p50).", text, m.Go, m.FsyncMS)
}

// lookAtMachine measures the disk below dir too, for less than a second.
func lookAtMachine(dir string) (machine, error) {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	m.Model, m.Kernel = systemNames()
	var err error
	m.FsyncMS, err = fsyncP50(dir, 200)
	return m, err
}

// fsyncP50 appends so many blocks of 4 KiB, each with an fsync, and gives the median time of one in milliseconds.
func fsyncP50(dir string, blocks int) (float64, error) {
	file, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 4<<10)
	times := make([]time.Duration, 0, blocks)
	for range blocks {
		begin := time.Now()
		if _, err := file.Write(block); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin))
	}
	return percentileMS(times, 0.5), nil
}
