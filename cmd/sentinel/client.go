package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/api"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// client reads from a running server.
type client struct {
	base string
	key  string
	http *http.Client
}

func (c client) incidents(ctx context.Context, cursor string) (page engine.Page[engine.Incident], err error) {
	err = c.get(ctx, "/api/v1/incidents?cursor="+url.QueryEscape(cursor), &page)
	return page, err
}

func (c client) incident(ctx context.Context, id string) (in engine.Incident, err error) {
	err = c.get(ctx, "/api/v1/incidents/"+url.PathEscape(id), &in)
	return in, err
}

func (c client) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w (is 'sentinel serve' running there?)", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	const most = 64 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var problem api.Problem
		if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
			return fmt.Errorf("%s: %s", resp.Status, problem.Detail)
		}
		return fmt.Errorf("%s%s answered %s", c.base, path, resp.Status)
	}
	return json.Unmarshal(body, into)
}

func marshalTraces(td ptrace.Traces) ([]byte, error) {
	return (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
}

func marshalLogs(ld plog.Logs) ([]byte, error) {
	return (&plog.ProtoMarshaler{}).MarshalLogs(ld)
}
