package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cluster/archive"
)

// maxProblem bytes of an answer that is an error.
const maxProblem = 64 << 10

// do a request and give its answer if that is a good one; else an error with the cluster's words.
func (a *app) do(request *http.Request) (*http.Response, error) {
	response, err := a.httpClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil {
		return nil, err
	}
	var problem struct {
		Message string `json:"message"`
		Details []struct {
			Debug struct {
				Reason   string            `json:"reason"`
				Metadata map[string]string `json:"metadata"`
			} `json:"debug"`
		} `json:"details"`
	}
	if json.Unmarshal(text, &problem) != nil || problem.Message == "" {
		return nil, fmt.Errorf("%s answered %s", request.URL.Host, response.Status)
	}
	for _, detail := range problem.Details {
		if d := detail.Debug; d.Reason != "" {
			return nil, &fairlane.Error{Reason: fairlane.Reason(d.Reason), Code: d.Metadata["code"], Message: problem.Message, Metadata: d.Metadata}
		}
	}
	return nil, fmt.Errorf("%s: %s", request.URL.Host, problem.Message)
}

// sendTo posts an archive to one node.
func sendTo(ctx context.Context, a *app, endpoint, path, from string, out *restored) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	address := a.baseURL(endpoint) + "/v1/snapshot"
	if from != "" {
		address += "?from_cluster=" + url.QueryEscape(from)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, file)
	if err != nil {
		return usagef("--endpoints %s: %w", endpoint, err)
	}
	request.ContentLength = info.Size()
	request.Header.Set("Content-Type", archive.ContentType)
	request.Header.Set("Expect", "100-continue") // a node that is not the leader says so before the file is sent
	response, err := a.do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("the archive was restored, but the answer cannot be read: %w", err)
	}
	return nil
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
