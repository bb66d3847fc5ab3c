package rpc

import (
	"context"
	"strconv"

	"github.com/hashicorp/go-hclog"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// SetLogLevel of this process: raft, gossip and the calls log through one level. It lasts until the process ends, and is never forwarded.
func (s *clusterService) SetLogLevel(_ context.Context, r *v1.SetLogLevelRequest) (*v1.SetLogLevelResponse, error) {
	if err := checkSetLogLevel(r); err != nil {
		return nil, err
	}
	level := hclog.LevelFromString(r.GetLevel())
	before := s.log.GetLevel()
	s.log.SetLevel(level)
	if before != level {
		s.log.Warn("the log level was changed", "from", levelWord(before), "to", levelWord(level))
	}
	return &v1.SetLogLevelResponse{Before: levelWord(before)}, nil
}

// levelWord is empty for a logger that has no level: nothing is logged.
func levelWord(level hclog.Level) string {
	if level == hclog.NoLevel {
		return ""
	}
	return level.String()
}

func checkSetLogLevel(r *v1.SetLogLevelRequest) error {
	const want = "give trace, debug, info, warn or error"
	var f fields
	f.requiredText("level", r.GetLevel(), maxTextBytes, want)
	level := hclog.LevelFromString(r.GetLevel())
	f.check(level != hclog.NoLevel && level != hclog.Off, "level", strconv.Quote(shorten(r.GetLevel())), want)
	return f.result()
}
