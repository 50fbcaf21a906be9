package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxCursor    = 1024
)

// queryValues reads a raw query in which each parameter is one of those allowed and stands once.
func queryValues(raw string, allowed ...string) (map[string]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "the query is malformed: %w", err)
	}
	out := make(map[string]string, len(values))
	for name, all := range values {
		if !slices.Contains(allowed, name) {
			return nil, invalidField(name, "unknown parameter; want one of %s", strings.Join(allowed, ", "))
		}
		if len(all) > 1 {
			return nil, invalidField(name, "given %d times", len(all))
		}
		limit := maxName
		if name == "cursor" {
			limit = maxCursor
		}
		if err := checkText(name, all[0], limit); err != nil {
			return nil, err
		}
		out[name] = all[0]
	}
	return out, nil
}

// parsePage reads the query of a listing that is only paged.
func parsePage(raw string) (cursor string, limit int, err error) {
	values, err := queryValues(raw, "limit", "cursor")
	if err != nil {
		return "", 0, err
	}
	limit, err = pageLimit(values["limit"])
	return values["cursor"], limit, err
}

func parseAnomalyQuery(raw string) (engine.AnomalyQuery, error) {
	values, err := queryValues(raw, "from", "to", "severity", "service", "type", "incident", "limit", "cursor")
	if err != nil {
		return engine.AnomalyQuery{}, err
	}
	q := engine.AnomalyQuery{
		Service: values["service"], Type: engine.AnomalyType(values["type"]), IncidentID: values["incident"], Cursor: values["cursor"],
	}
	if q.From, q.To, err = timeRange(values); err != nil {
		return engine.AnomalyQuery{}, err
	}
	if q.MinSeverity, err = severity(values["severity"]); err != nil {
		return engine.AnomalyQuery{}, err
	}
	q.Limit, err = pageLimit(values["limit"])
	return q, err
}

func parseIncidentQuery(raw string) (engine.IncidentQuery, error) {
	values, err := queryValues(raw, "from", "to", "severity", "service", "type", "status", "limit", "cursor")
	if err != nil {
		return engine.IncidentQuery{}, err
	}
	q := engine.IncidentQuery{
		Service: values["service"], Type: engine.AnomalyType(values["type"]), Status: engine.Status(values["status"]), Cursor: values["cursor"],
	}
	if q.From, q.To, err = timeRange(values); err != nil {
		return engine.IncidentQuery{}, err
	}
	if q.MinSeverity, err = severity(values["severity"]); err != nil {
		return engine.IncidentQuery{}, err
	}
	switch q.Status {
	case "", engine.StatusOpen, engine.StatusAcknowledged, engine.StatusResolved:
	default:
		return engine.IncidentQuery{}, invalidField("status", "%q is not open, acknowledged or resolved", q.Status)
	}
	q.Limit, err = pageLimit(values["limit"])
	return q, err
}

func timeRange(values map[string]string) (from, to time.Time, err error) {
	if from, err = parseTime("from", values["from"]); err != nil {
		return from, to, err
	}
	if to, err = parseTime("to", values["to"]); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, invalidField("to", "is not after from")
	}
	return from, to, nil
}

// parseTime reads RFC 3339; "" is the zero time.
func parseTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, invalidField(field, "%q is not an RFC 3339 time such as 2026-01-31T12:00:00Z", text)
	}
	return t.UTC(), nil
}

func severity(text string) (engine.Severity, error) {
	s := engine.Severity(text)
	if s != "" && s.Rank() < 0 {
		return "", invalidField("severity", "%q is not low, medium, high or critical", text)
	}
	return s, nil
}

func pageLimit(text string) (int, error) {
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalidField("limit", "%s is not a whole number from 1 to %s", fmt.Sprintf("%q", text), strconv.Itoa(maxLimit))
	}
	return n, nil
}
