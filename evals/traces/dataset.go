package traces

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// folder holds a folder for each day.
const folder = "microservice_traces"

// day is one day of one system. Spans are in order of their end, each once.
type day struct {
	name    string
	history []engine.Span // of the fault-free minute, moved to before the stream
	stream  []engine.Span
	faults  []fault // in order of time
}

// fault is one injection.
type fault struct {
	at      time.Time
	service string // of the pod that it was injected into
	kind    string // "cpu_contention", "exception", "return" and others
}

// historyGap lies between the end of the history and the first span of the stream: long enough for the windows of the history to
// close and be learnt.
const historyGap = 10 * time.Minute

// load reads all days in order of their names.
func load(env evals.Env) ([]day, error) {
	entries, err := os.ReadDir(env.Path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, evals.Unavailable("there is no %s", env.Path(folder))
	}
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	var out []day
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		d, err := loadDay(env, env.Path(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		if len(d.stream) > 0 && len(d.faults) > 0 {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, evals.Unavailable("no folder of %s has spans and faults", env.Path(folder))
	}
	return out, nil
}

func loadDay(env evals.Env, dir string) (day, error) {
	d := day{name: filepath.Base(dir)}
	var err error
	seen := make(map[spanRef]bool)
	if d.history, err = loadSpans(env, filepath.Join(dir, "normal_spans.csv.gz"), seen); err != nil {
		return d, err
	}
	// The stream repeats spans, and has some of the fault-free minute again.
	if d.stream, err = loadSpans(env, filepath.Join(dir, "spans.csv.gz"), seen); err != nil {
		return d, err
	}
	if len(d.stream) > 0 {
		d.faults, err = loadFaults(env, filepath.Join(dir, "faults.json"), earliest(d.stream), d.stream[len(d.stream)-1].End)
	}
	if len(d.history) > 0 && len(d.stream) > 0 {
		move(d.history, earliest(d.stream).Add(-historyGap).Sub(d.history[len(d.history)-1].End))
	}
	return d, err
}

type spanRef struct {
	trace engine.TraceID
	span  engine.SpanID
}

// columns are what the first line of a file of spans says.
const columns = "trace_id,span_id,parent_id,pod,operation,start_unix_nano,duration_us"

// loadSpans reads the spans that have not been seen yet.
func loadSpans(env evals.Env, path string, seen map[spanRef]bool) ([]engine.Span, error) {
	var out []engine.Span
	err := evals.EachLine(env, path, func(number int, line []byte) error {
		if number == 1 {
			if string(line) != columns {
				return fmt.Errorf("traces: %s: the first line must be %q, is %q", path, columns, line)
			}
			return nil
		}
		s, err := parseSpan(line)
		if err != nil {
			return env.Skip(path, number, err)
		}
		if ref := (spanRef{s.TraceID, s.SpanID}); !seen[ref] {
			seen[ref] = true
			out = append(out, s)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b engine.Span) int { return a.End.Compare(b.End) })
	return out, err
}

func parseSpan(line []byte) (s engine.Span, err error) {
	row := csv.NewReader(bytes.NewReader(line))
	row.FieldsPerRecord = strings.Count(columns, ",") + 1
	f, err := row.Read()
	if err != nil {
		return s, err
	}
	if err := s.TraceID.UnmarshalText([]byte(f[0])); err != nil || s.TraceID.IsZero() {
		return s, fmt.Errorf("trace_id %q: want 32 hex digits that are not all 0", f[0])
	}
	if err := s.SpanID.UnmarshalText([]byte(f[1])); err != nil || s.SpanID.IsZero() {
		return s, fmt.Errorf("span_id %q: want 16 hex digits that are not all 0", f[1])
	}
	if f[2] != "root" {
		if err := s.Parent.UnmarshalText([]byte(f[2])); err != nil || s.Parent.IsZero() {
			return s, fmt.Errorf("parent_id %q: want root, or 16 hex digits that are not all 0", f[2])
		}
	}
	if s.Service = serviceOf(f[3]); s.Service == "" {
		return s, errors.New("pod is missing")
	}
	if s.Name = f[4]; s.Name == "" {
		return s, errors.New("operation is missing")
	}
	start, err := strconv.ParseInt(f[5], 10, 64)
	if err != nil || start <= 0 {
		return s, fmt.Errorf("start_unix_nano %q: want nanoseconds since 1970", f[5])
	}
	took, err := strconv.ParseInt(f[6], 10, 64)
	if most := int64(24 * time.Hour / time.Microsecond); err != nil || took < 0 || took > most {
		return s, fmt.Errorf("duration_us %q: want microseconds, 0 to %d", f[6], most)
	}
	s.Start = time.Unix(0, start).UTC()
	s.End = s.Start.Add(time.Duration(took) * time.Microsecond)
	return s, nil
}

// serviceOf is the service that a pod of a Kubernetes Deployment belongs to: clients send that as service.name, and the pod is the
// service's name, the hash of its ReplicaSet and a random suffix.
func serviceOf(pod string) string {
	parts := strings.Split(pod, "-")
	return strings.Join(parts[:max(1, len(parts)-2)], "-")
}

// loadFaults reads the injections. One of which no span between two times can tell is malformed; a file that is no JSON array has none, and
// is skipped as a malformed line is.
func loadFaults(env evals.Env, path string, from, to time.Time) ([]fault, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, evals.Unavailable("there is no %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	line := func() int { return 1 + bytes.Count(text[:decoder.InputOffset()], []byte("\n")) }
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return nil, env.Skip(path, line(), errors.New("want a JSON array of faults"))
	}
	var out []fault
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, env.Skip(path, line(), err)
		}
		f, err := parseFault(raw)
		if err == nil && (!f.at.Before(to) || !f.at.Add(faultLength).After(from)) {
			err = fmt.Errorf("time: no span is of %s or the %s after it", f.at.Format(time.DateTime), faultLength)
		}
		if err == nil {
			out = append(out, f)
		} else if err := env.Skip(path, line(), err); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b fault) int { return a.at.Compare(b.at) })
	return out, nil
}

// injection is an element of the file of faults.
type injection struct {
	Time time.Time `json:"time"`
	Pod  string    `json:"pod"`
	Type string    `json:"type"`
}

func parseFault(raw json.RawMessage) (fault, error) {
	var f injection
	if err := json.Unmarshal(raw, &f); err != nil {
		return fault{}, err
	}
	switch {
	case f.Time.IsZero():
		return fault{}, errors.New("time is missing")
	case f.Pod == "":
		return fault{}, errors.New("pod is missing")
	case f.Type == "":
		return fault{}, errors.New("type is missing")
	}
	return fault{at: f.Time.UTC(), service: serviceOf(f.Pod), kind: f.Type}, nil
}

func earliest(spans []engine.Span) time.Time {
	at := spans[0].Start
	for i := range spans {
		if spans[i].Start.Before(at) {
			at = spans[i].Start
		}
	}
	return at
}

func move(spans []engine.Span, by time.Duration) {
	for i := range spans {
		spans[i].Start, spans[i].End = spans[i].Start.Add(by), spans[i].End.Add(by)
	}
}
