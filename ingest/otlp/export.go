package otlp

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// exporter answers the Export calls of all signals, whatever protocol they came by.
type exporter struct {
	receiver *Receiver
	next     engine.Sink
}

func (e exporter) traces(ctx context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	res, err := e.receiver.consumeTraces(ctx, e.next, req.Traces())
	resp := ptraceotlp.NewExportResponse()
	if err == nil && len(res.Rejected) > 0 {
		resp.PartialSuccess().SetRejectedSpans(int64(len(res.Rejected)))
		resp.PartialSuccess().SetErrorMessage(refusal(res.Rejected))
	}
	return resp, err
}

func (e exporter) logs(ctx context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	res, err := e.receiver.consumeLogs(ctx, e.next, req.Logs())
	resp := plogotlp.NewExportResponse()
	if err == nil && len(res.Rejected) > 0 {
		resp.PartialSuccess().SetRejectedLogRecords(int64(len(res.Rejected)))
		resp.PartialSuccess().SetErrorMessage(refusal(res.Rejected))
	}
	return resp, err
}

func (e exporter) metrics(req pmetricotlp.ExportRequest) pmetricotlp.ExportResponse {
	points := req.Metrics().DataPointCount()
	e.receiver.metrics.skipped.WithLabelValues(signalMetrics).Add(float64(points))
	return pmetricotlp.NewExportResponse()
}
