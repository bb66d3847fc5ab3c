// Package calendar computes the fire times of schedules: what a spec means in a zone (docs/design.md §9).
//
// A spec is read into a Grid: the instants at which it fires, before jitter. There are three kinds: cron (five fields or a macro), an
// interval (`@every 90s`), and one instant (`@at 2026-12-24T18:00:00+01:00`). Everything is computed by the leader and logged with the
// revision of what it was computed from; the machine never reads a spec.
//
// # Cron in real time
//
// The fields of a spec name local times, which are plain numbers without a zone (seconds since 1970 on the clock on the wall). naive.go finds the
// next of them with a few bit operations. A zone is a row of segments, in each of which its offset from UTC stays the same (zone.go).
// daylight.go joins both. It knows two readings of a spec:
//
//   - Fixed: the hour field does not start with `*`. Each local time that the fields name runs once: at its first instant; if the clock is set
//     forward over it, at the time shifted by the size of the gap. Local times that come to the same instant are one.
//   - Every hour: the hour field starts with `*`. Each real instant whose local time the fields name runs, so an hour that comes twice runs twice,
//     and one that does not come does not run.
//
// # Bounds
//
// Instants are Unix milliseconds, 0 <= t < 2^53. A spec that names no date of the 400 years after which the calendar repeats is refused when it is
// read, so a search for the next time always ends.
package calendar
