package fsm

import (
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func defaultSettings() *logv1.Settings {
	return &logv1.Settings{
		DefaultMode: logv1.Mode_MODE_ROUND_ROBIN.Enum(), MultiUser: proto.Bool(true), CreateQueues: proto.Bool(true),
		Limits: &logv1.Limits{
			LeaseMs: proto.Int64(60_000), HeartbeatMs: proto.Int64(20_000), MaxAttempts: proto.Int32(4), BackoffFirstMs: proto.Int64(1000),
			BackoffFactorPercent: proto.Int32(200), BackoffMostMs: proto.Int64(600_000), OnTimeout: logv1.OnTimeout_ON_TIMEOUT_RETRY.Enum(),
			MaxRunMs: proto.Int64(0), ExclusionWindowMs: proto.Int64(60_000),
		},
		RetentionMs: proto.Int64(24 * 60 * 60 * 1000), RetentionJobs: proto.Int64(100_000), MaxRunningPerUser: proto.Int64(0),
		MaxStateBytes: proto.Int64(1 << 30), MaxJobs: proto.Int64(2_000_000), MaxSessions: proto.Int64(100_000), MaxQueues: proto.Int64(10_000),
		MaxUsers: proto.Int64(1_000_000), MaxIdempotencyKeys: proto.Int64(1_000_000),
	}
}

// setSettings changes the settings that are present.
func (m *Machine) setSettings(s *logv1.Settings, res *logv1.Result) {
	if res.Refusal = checkSettings(s); res.Refusal != nil {
		return
	}
	if m.batch.rules >= 2 && s != nil {
		if res.Refusal = within("max_output_bytes", s.MaxOutputBytes, 0, MostOutputBytes); res.Refusal != nil {
			return
		}
	}
	if m.batch.rules >= 3 && s != nil {
		if res.Refusal = within("max_schedules", s.MaxSchedules, 0, mostMillis); res.Refusal != nil {
			return
		}
	}
	merged := proto.CloneOf(m.settings)
	if s != nil {
		proto.Merge(merged, s)
	}
	if merged.GetDefaultMode() == logv1.Mode_MODE_UNSPECIFIED {
		merged.DefaultMode = logv1.Mode_MODE_ROUND_ROBIN.Enum()
	}
	if merged.GetLimits().GetOnTimeout() == logv1.OnTimeout_ON_TIMEOUT_UNSPECIFIED {
		merged.Limits.OnTimeout = logv1.OnTimeout_ON_TIMEOUT_RETRY.Enum()
	}
	m.settings = merged
	m.applySettings()
	m.event(Event{Kind: SettingsChanged})
	res.Value = &logv1.Result_Settings{Settings: &logv1.SettingsResult{Settings: merged}}
}

// applySettings brings everything that is derived from the settings in line with them.
func (m *Machine) applySettings() {
	m.board.SetDefaultMode(m.defaultMode())
	m.queues.Scan(func(_ string, rec *logv1.QueueRecord) bool {
		m.applyQueue(rec)
		return true
	})
	for _, name := range sortedKeys(m.userLive) {
		if m.gateUser(name, m.userLive[name]) && m.board.Waiting() > 0 {
			m.batch.out.Rescan = true
		}
	}
	m.sessions.Scan(func(id uint64, _ *session) bool {
		m.indexSession(id)
		return true
	})
}
