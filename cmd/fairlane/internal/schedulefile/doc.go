// Package schedulefile reads and writes the TOML files from which schedules are put: many in one file, with durations as people write them. It is strict:
// an unknown key, a value of the wrong kind and a missing field are errors with their line and what would be right, all of them at once.
package schedulefile
