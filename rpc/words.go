package rpc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// The functions of this file put what the machine knows into words: of the machine's own clock and of nothing else, so that every
// node says the same about the same index.

// spanText is a duration in milliseconds as people say it. A negative one is none.
func spanText(ms int64) string {
	const second, minute, hour, day = 1000, 60 * 1000, 3600 * 1000, 24 * 3600 * 1000
	switch ms = max(ms, 0); {
	case ms < second:
		return fmt.Sprintf("%d ms", ms)
	case ms < minute:
		return strings.TrimSuffix(fmt.Sprintf("%d.%d", ms/second, ms%second/100), ".0") + " s"
	case ms < hour:
		return fmt.Sprintf("%d min %d s", ms/minute, ms%minute/second)
	case ms < day:
		return fmt.Sprintf("%d h %d min", ms/hour, ms%hour/minute)
	}
	return fmt.Sprintf("%d d %d h", ms/day, ms%day/hour)
}

// instantText is an instant in UTC; its day is left out when it is that of the clock.
func instantText(ms, clockMs int64) string {
	at, now := time.UnixMilli(ms).UTC(), time.UnixMilli(clockMs).UTC()
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04:05Z")
	}
	return at.Format("2006-01-02T15:04:05Z")
}

// untilText is an instant ahead and how far off it is.
func untilText(untilMs, clockMs int64) string {
	if untilMs <= clockMs {
		return "until " + instantText(untilMs, clockMs) + ", which is now"
	}
	return "for another " + spanText(untilMs-clockMs) + ", until " + instantText(untilMs, clockMs)
}

// countText is a number and what it counts; more is the plural.
func countText[N int | int64 | uint64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func userText(user string) string {
	if user == "" {
		return "the user without a name"
	}
	return "user " + user
}

// memoryText shows bytes in the largest unit of the lane grammar that divides them.
func memoryText(bytes int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= unit.size && bytes%unit.size == 0 {
			return strconv.FormatInt(bytes/unit.size, 10) + unit.name
		}
	}
	return countText(bytes, "byte", "bytes")
}

// laneSpec is a lane in the grammar in which it was registered.
func laneSpec(lane *logv1.Lane) string {
	return scheduler.FormatLanes([]scheduler.Lane{{Chain: lane.GetChain(), Slots: lane.GetSlots(), MemoryBytes: lane.GetMemoryBytes()}})
}

func laneName(lane *fsm.LaneName) string {
	if lane == nil {
		return "the lane"
	}
	return fmt.Sprintf("worker %s lane %d", lane.Worker, lane.Lane)
}

func laneText(lane *fsm.LaneName) string {
	if lane == nil {
		return laneName(nil)
	}
	return laneName(lane) + " " + laneSpec(lane.Spec)
}

func workerText(lane *fsm.LaneName) string {
	if lane == nil {
		return "a worker"
	}
	return "worker " + lane.Worker
}

func laneAnswer(lane *fsm.LaneName) *v1.LaneRef {
	if lane == nil {
		return nil
	}
	return &v1.LaneRef{Worker: lane.Worker, Session: uint64(lane.Session), Lane: lane.Lane, Text: laneSpec(lane.Spec)}
}

// stateText is a state as people write it.
func stateText(state logv1.State) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "STATE_"))
}

// modeText is a mode as people write it.
func modeText(mode logv1.Mode) string {
	return strings.ToLower(strings.TrimPrefix(mode.String(), "MODE_"))
}
