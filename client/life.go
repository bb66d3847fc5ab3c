package fairlane

import "context"

func (w *Worker) run(ctx context.Context) error { return nil }
