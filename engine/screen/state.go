package screen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// seriesFormat is the first byte of a series' binary form. It is raised when older ones cannot be read.
const seriesFormat = 1

// MarshalBinary returns the state of the series, in which nothing is lost: a snapshot and the shelf hold the same.
func (s *series) MarshalBinary() ([]byte, error) {
	e := stateWriter{buf: append(make([]byte, 0, 2048), seriesFormat)}
	e.key(s.key)
	e.string(s.provider)
	for _, x := range s.base.learners() {
		e.learner(x)
	}
	e.time(s.strange)
	e.uint(uint64(s.timeline.kept))
	for _, c := range s.timeline.closed[:s.timeline.kept] {
		e.int(c.start)
		for _, n := range []uint64{uint64(c.spans), uint64(c.failed), uint64(c.points), uint64(c.above25), uint64(c.above05)} {
			e.uint(n)
		}
	}
	e.uint(uint64(len(s.timeline.open)))
	for _, w := range s.timeline.open {
		e.window(w)
	}
	e.versions(&s.versions)
	return e.buf, e.err
}

// readSeries restores a series, with a baseline like the one that is given.
func readSeries(like *baseline, data []byte) (*series, error) {
	d := stateReader{buf: data}
	if format := d.bytes(1); d.err == nil && format[0] != seriesFormat {
		return nil, fmt.Errorf("series has format %d, want %d", format[0], seriesFormat)
	}
	s := &series{key: d.key(), provider: d.string(), base: like.fresh()}
	for _, x := range s.base.learners() {
		d.learner(x)
	}
	s.strange = d.time()
	s.timeline.kept = d.count(longest)
	for i := range s.timeline.kept {
		c := &s.timeline.closed[i]
		c.start, c.spans, c.failed = d.int(), uint32(d.most(math.MaxUint32)), uint32(d.most(math.MaxUint32))
		c.points, c.above25, c.above05 = uint16(d.most(maxPoints)), uint16(d.most(maxPoints)), uint16(d.most(maxPoints))
		d.check(c.failed <= c.spans && c.above25 <= c.points && c.above05 <= c.points, "impossible tally")
	}
	for range d.count(maxOpen) {
		s.timeline.open = append(s.timeline.open, d.window())
	}
	d.versions(&s.versions)
	d.check(len(d.buf) == 0, "bytes too many")
	if d.err != nil {
		return nil, fmt.Errorf("series %s: %w", s.key, d.err)
	}
	return s, nil
}

// stateWriter appends fields; the first error sticks.
type stateWriter struct {
	buf []byte
	err error
}

func (e *stateWriter) uint(v uint64)   { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *stateWriter) int(v int64)     { e.buf = binary.AppendVarint(e.buf, v) }
func (e *stateWriter) string(v string) { e.uint(uint64(len(v))); e.buf = append(e.buf, v...) }

func (e *stateWriter) time(t time.Time) {
	e.int(t.Unix())
	e.uint(uint64(t.Nanosecond()))
}

func (e *stateWriter) key(k engine.SeriesKey) {
	for _, v := range []string{k.Service, string(k.Operation), k.Model, k.Agent, k.Tool, k.Region} {
		e.string(v)
	}
}

func (e *stateWriter) learner(x learner) {
	data, err := x.MarshalBinary()
	e.err = errors.Join(e.err, err)
	e.string(string(data))
}

func (e *stateWriter) traces(ids []engine.TraceID) {
	e.uint(uint64(len(ids)))
	for _, id := range ids {
		e.buf = append(e.buf, id[:]...)
	}
}

func (e *stateWriter) window(w *window) {
	e.time(w.Start)
	e.uint(uint64(w.Spans))
	e.uint(uint64(w.Failed))
	e.learner(&w.Latency)
	e.learner(&w.Tokens)
	e.uint(uint64(len(w.Slow)))
	for _, x := range w.Slow {
		e.buf = binary.LittleEndian.AppendUint32(e.buf, math.Float32bits(x.Seconds))
		e.buf = append(e.buf, x.Trace[:]...)
	}
	e.traces(w.Errors)
}

func (e *stateWriter) versions(v *versions) {
	e.string(v.Current)
	e.uint(uint64(len(v.Recent)))
	for _, x := range v.Recent {
		e.int(int64(x))
	}
	e.string(v.Challenger)
	if v.Challenger == "" {
		return
	}
	e.learner(v.test)
	e.uint(uint64(v.Seen))
	e.uint(uint64(v.Fresh))
	e.traces(v.Traces)
	e.time(v.LastSeen)
}

// stateReader reads what stateWriter wrote. The first error sticks; after it every read returns a zero value.
type stateReader struct {
	buf []byte
	err error
}

func (d *stateReader) check(ok bool, what string) {
	if !ok && d.err == nil {
		d.err = errors.New(what)
	}
}

// bytes returns the next n bytes without copying.
func (d *stateReader) bytes(n int) []byte {
	d.check(n >= 0 && n <= len(d.buf), "cut short")
	if d.err != nil {
		return nil
	}
	out := d.buf[:n]
	d.buf = d.buf[n:]
	return out
}

func (d *stateReader) uint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if d.check(n > 0, "cut short"); d.err != nil {
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *stateReader) int() int64 {
	v, n := binary.Varint(d.buf)
	if d.check(n > 0, "cut short"); d.err != nil {
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

// most reads a number of at most limit.
func (d *stateReader) most(limit uint64) uint64 {
	v := d.uint()
	if d.check(v <= limit, "a number out of range"); d.err != nil {
		return 0
	}
	return v
}

// count reads the number of elements that follow, of at most limit.
func (d *stateReader) count(limit int) int { return int(d.most(uint64(limit))) }

func (d *stateReader) string() string { return string(d.bytes(int(d.most(math.MaxInt32)))) }

func (d *stateReader) time() time.Time {
	seconds, nanos := d.int(), d.most(999_999_999)
	return time.Unix(seconds, int64(nanos)).UTC()
}

func (d *stateReader) key() engine.SeriesKey {
	return engine.SeriesKey{
		Service: d.string(), Operation: engine.Operation(d.string()), Model: d.string(), Agent: d.string(), Tool: d.string(), Region: d.string(),
	}
}

func (d *stateReader) learner(x learner) {
	data := d.bytes(int(d.most(math.MaxInt32)))
	if d.err == nil {
		d.err = x.UnmarshalBinary(data)
	}
}

func (d *stateReader) traces() []engine.TraceID {
	var out []engine.TraceID
	for range d.count(maxSlow) {
		var id engine.TraceID
		copy(id[:], d.bytes(len(id)))
		out = append(out, id)
	}
	return out
}

func (d *stateReader) window() *window {
	w := newWindow(d.time())
	w.Spans, w.Failed = int(d.most(math.MaxInt32)), int(d.most(math.MaxInt32))
	d.learner(&w.Latency)
	d.learner(&w.Tokens)
	for range d.count(maxSlow) {
		var x slowSpan
		if b := d.bytes(4); d.err == nil {
			x.Seconds = math.Float32frombits(binary.LittleEndian.Uint32(b))
		}
		copy(x.Trace[:], d.bytes(len(x.Trace)))
		w.Slow = append(w.Slow, x)
	}
	w.Errors = d.traces()
	d.check(w.Failed <= w.Spans && w.Latency.Count() <= w.Spans && w.Tokens.Count() <= w.Spans, "impossible window")
	return w
}

func (d *stateReader) versions(v *versions) {
	v.Current = d.string()
	for range d.count(recentKept) {
		x := d.int()
		d.check(x >= math.MinInt16 && x <= math.MaxInt16, "a latency out of range")
		v.Recent = append(v.Recent, recent(x))
	}
	if v.Challenger = d.string(); v.Challenger == "" {
		return
	}
	v.test = comparison.Fresh()
	d.learner(v.test)
	v.Seen, v.Fresh = int(d.most(math.MaxInt32)), int(d.most(math.MaxInt32))
	v.Traces = d.traces()
	v.LastSeen = d.time()
}
