package rpc

import (
	"context"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

type eventService struct{ *server }

func unbuilt() error { return connect.NewError(connect.CodeUnimplemented, nil) }

func (s *eventService) WatchEvents(context.Context, *v1.WatchEventsRequest, *connect.ServerStream[v1.WatchEventsResponse]) error {
	return unbuilt()
}
func (s *jobService) WatchJob(context.Context, *v1.WatchJobRequest, *connect.ServerStream[v1.WatchJobResponse]) error {
	return unbuilt()
}
func (s *jobService) StreamOutput(context.Context, *v1.StreamOutputRequest, *connect.ServerStream[v1.StreamOutputResponse]) error {
	return unbuilt()
}
func (s *queueService) WatchQueue(context.Context, *v1.WatchQueueRequest, *connect.ServerStream[v1.WatchQueueResponse]) error {
	return unbuilt()
}
func (s *workerService) AppendOutput(context.Context, *v1.AppendOutputRequest) (*v1.AppendOutputResponse, error) {
	return nil, unbuilt()
}
func (s *jobService) CancelMany(context.Context, *v1.CancelManyRequest) (*v1.CancelManyResponse, error) {
	return nil, unbuilt()
}
func (s *jobService) RetryMany(context.Context, *v1.RetryManyRequest) (*v1.RetryManyResponse, error) {
	return nil, unbuilt()
}
func (s *jobService) Why(context.Context, *v1.WhyRequest) (*v1.WhyResponse, error) {
	return nil, unbuilt()
}
func (s *queueService) ListQueueUsers(context.Context, *v1.ListQueueUsersRequest) (*v1.ListQueueUsersResponse, error) {
	return nil, unbuilt()
}
func (s *queueService) PreviewOrder(context.Context, *v1.PreviewOrderRequest) (*v1.PreviewOrderResponse, error) {
	return nil, unbuilt()
}
func (s *clusterService) ExplainIndex(context.Context, *v1.ExplainIndexRequest) (*v1.ExplainIndexResponse, error) {
	return nil, unbuilt()
}
func (s *clusterService) RecordTrace(context.Context, *v1.RecordTraceRequest, *connect.ServerStream[v1.RecordTraceResponse]) error {
	return unbuilt()
}
