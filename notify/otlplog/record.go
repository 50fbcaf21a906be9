package otlplog

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

const (
	eventName = "gen_ai.evaluation.result"
	maxTraces = 8
)

var severities = map[engine.Severity]plog.SeverityNumber{
	engine.SeverityLow: plog.SeverityNumberInfo, engine.SeverityMedium: plog.SeverityNumberWarn,
	engine.SeverityHigh: plog.SeverityNumberError, engine.SeverityCritical: plog.SeverityNumberError4,
}

// records makes the log records of an alert, one a trace.
func records(a engine.Alert) plog.Logs {
	m := notify.MessageOf(a)
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "llm-sentinel")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("github.com/llm-sentinel/llm-sentinel/notify/otlplog")
	in := a.Incident
	traces := in.Traces[:min(len(in.Traces), maxTraces)]
	if len(traces) == 0 {
		traces = []engine.TraceID{{}}
	}
	for _, trace := range traces {
		r := scope.LogRecords().AppendEmpty()
		r.SetEventName(eventName)
		r.SetTimestamp(pcommon.NewTimestampFromTime(m.Timestamp))
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(m.Timestamp))
		r.SetSeverityNumber(severities[m.Severity])
		r.SetSeverityText(string(m.Severity))
		r.Body().SetStr(m.Title)
		if !trace.IsZero() {
			r.SetTraceID(pcommon.TraceID(trace))
			r.SetSpanID(pcommon.SpanID(span(in, trace)))
		}
		label := "anomalous"
		if m.Status == engine.StatusResolved {
			label = string(m.Status)
		}
		attributes := r.Attributes()
		attributes.PutStr("gen_ai.evaluation.name", string(m.AnomalyType))
		attributes.PutDouble("gen_ai.evaluation.score.value", m.Score)
		attributes.PutStr("gen_ai.evaluation.score.label", label)
		if m.Explanation != "" {
			attributes.PutStr("gen_ai.evaluation.explanation", m.Explanation)
		}
		attributes.PutStr("sentinel.alert_id", m.AlertID)
		attributes.PutStr("sentinel.incident_id", m.IncidentID)
		attributes.PutStr("sentinel.severity", string(m.Severity))
		attributes.PutStr("sentinel.status", string(m.Status))
		attributes.PutStr("sentinel.change", m.Change)
		services := attributes.PutEmptySlice("sentinel.affected_services")
		for _, s := range m.AffectedServices {
			services.AppendEmpty().SetStr(s)
		}
	}
	return logs
}

// span is the abnormal span of a trace, where the evidence knows it.
func span(in engine.Incident, trace engine.TraceID) engine.SpanID {
	if in.Evidence != nil && in.Evidence.Abnormal != nil && in.Evidence.Abnormal.TraceID == trace {
		return in.Evidence.Abnormal.SpanID
	}
	if in.Explanation != nil {
		for _, c := range in.Explanation.Citations {
			var id engine.SpanID
			if c.TraceID == trace.String() && c.SpanID != "" && id.UnmarshalText([]byte(c.SpanID)) == nil {
				return id
			}
		}
	}
	return engine.SpanID{}
}
