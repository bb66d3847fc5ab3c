package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// connect makes a client of the SDK, for calls that change something: the SDK numbers them, so that a repeated one has one
// effect. It asks one node for a sign of life first: the SDK waits for a cluster as long as its context lasts, and whoever
// mistyped an address should not.
func (a *app) connect(ctx context.Context) (*fairlane.Client, error) {
	if _, err := call(ctx, a, clusterOf, fairlanev1connect.ClusterServiceClient.Status, &fairlanev1.StatusRequest{}); err != nil {
		return nil, err
	}
	settings := fairlane.Config{Logger: slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, endpoint := range a.endpoints {
		settings.Endpoints = append(settings.Endpoints, a.baseURL(endpoint))
	}
	if a.tls.CA != "" {
		settings.HTTPClient = a.httpClient // without TLS the SDK's own is the faster one
	}
	return fairlane.Open(settings)
}

// change makes one call of the SDK within the time of --timeout.
func (a *app) change(cmd *cobra.Command, do func(context.Context, *fairlane.Client) error) error {
	client, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	return do(ctx, client)
}
