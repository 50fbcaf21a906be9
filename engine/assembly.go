package engine

import (
	"container/heap"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// assembler joins spans and separate content into traces. A trace is complete when its root has ended and it has been quiet
// for a while in event time, when its root does not come for long, or when it is too large. Memory is bounded in traces and in bytes; above the
// bound the trace that would end first is completed early.
//
// It is used by one goroutine.
type assembler struct {
	cfg   AssemblyConfig
	open  map[TraceID]*assembly
	due   dueHeap
	bytes int64
	// following is how many spans of the same trace are known to be added next, for which room is made at once: spans are large.
	following int
	judged    *lru.Cache[TraceID, []SpanID] // complete traces, so that a late or repeated span is known as such
	dropped   func(reason string, n int)
}

type assembly struct {
	id       TraceID
	spans    []Span
	seen     map[SpanID]int // index into spans
	waiting  []Content      // content whose span has not come
	rooted   bool
	late     bool
	oversize bool
	bytes    int64
	last     time.Time // latest end
	due      time.Time // event time at which it is complete unless something comes
	index    int       // in the heap
	receipts []*receipt
}

func newAssembler(cfg AssemblyConfig, dropped func(reason string, n int)) *assembler {
	judged, err := lru.New[TraceID, []SpanID](cfg.RememberTraces)
	if err != nil {
		panic(err) // Validate keeps RememberTraces positive
	}
	return &assembler{cfg: cfg, open: make(map[TraceID]*assembly), judged: judged, dropped: dropped}
}

// add takes one span. It reports whether the span is new: a repeated one must not be counted again.
func (a *assembler) add(s Span, r *receipt) bool {
	spans, judged := a.judged.Get(s.TraceID)
	if judged && slices.Contains(spans, s.SpanID) {
		a.dropped(dropDuplicate, 1)
		return false
	}
	t := a.trace(s.TraceID, s.End)
	t.hold(r) // a repeated span of an open trace too: who sent it again waits for the first one's effects
	if _, again := t.seen[s.SpanID]; again {
		a.dropped(dropDuplicate, 1)
		return false
	}
	t.late = judged
	if t.oversize {
		a.dropped(dropOversizeTrace, 1)
		return true
	}
	if len(t.spans) >= a.cfg.MaxSpans {
		t.oversize = true
		a.dropped(dropOversizeTrace, 1)
		a.schedule(t, t.last)
		return true
	}
	t.seen[s.SpanID] = len(t.spans)
	if len(t.spans) == cap(t.spans) {
		t.spans = slices.Grow(t.spans, min(a.following+1, a.cfg.MaxSpans-len(t.spans)))
	}
	size := s.size()
	t.bytes += size
	a.bytes += size
	if s.End.After(t.last) {
		t.last = s.End
	}
	t.rooted = t.rooted || s.Parent.IsZero()
	t.spans = append(t.spans, s)
	for i := 0; i < len(t.waiting); {
		if t.waiting[i].SpanID != s.SpanID {
			i++
			continue
		}
		t.spans[len(t.spans)-1].attach(t.waiting[i])
		t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
	}
	a.schedule(t, a.dueTime(t))
	return true
}

// join adds content that arrived apart from its span.
func (a *assembler) join(c Content, r *receipt) {
	if a.judged.Contains(c.TraceID) {
		a.dropped(dropLateContent, 1)
		return
	}
	t := a.trace(c.TraceID, c.At)
	t.hold(r)
	if i, ok := t.seen[c.SpanID]; ok {
		t.spans[i].attach(c)
	} else if len(t.waiting) < a.cfg.MaxSpans {
		t.waiting = append(t.waiting, c)
	} else {
		a.dropped(dropOversizeTrace, 1)
		return
	}
	size := c.size()
	t.bytes += size
	a.bytes += size
}

// complete removes and returns the traces that are due at the watermark, and those that must go to keep the bounds.
func (a *assembler) complete(watermark time.Time) []*assembly {
	var out []*assembly
	for len(a.due) > 0 && !a.due[0].due.After(watermark) {
		out = append(out, a.take())
	}
	for len(a.open) > a.cfg.MaxTraces || a.bytes > a.cfg.MaxBytes {
		t := a.take()
		a.dropped(dropEarlyTrace, 1)
		out = append(out, t)
	}
	return out
}

// drain completes everything.
func (a *assembler) drain() []*assembly {
	out := make([]*assembly, 0, len(a.open))
	for len(a.due) > 0 {
		out = append(out, a.take())
	}
	return out
}

func (a *assembler) take() *assembly {
	t := heap.Pop(&a.due).(*assembly)
	delete(a.open, t.id)
	a.bytes -= t.bytes
	if n := len(t.waiting); n > 0 {
		a.dropped(dropOrphanContent, n)
	}
	ids := make([]SpanID, 0, min(len(t.spans), rememberedSpans))
	for i := range t.spans {
		if len(ids) == cap(ids) {
			break
		}
		ids = append(ids, t.spans[i].SpanID)
	}
	if earlier, ok := a.judged.Get(t.id); ok {
		ids = append(ids, earlier[:min(len(earlier), rememberedSpans)]...)
	}
	if len(t.spans) > 0 {
		a.judged.Add(t.id, ids)
	}
	return t
}

// rememberedSpans bounds the span ids kept of a judged trace.
const rememberedSpans = 256

func (a *assembler) trace(id TraceID, at time.Time) *assembly {
	t, ok := a.open[id]
	if !ok {
		t = &assembly{id: id, seen: make(map[SpanID]int, 8), last: at}
		t.due = a.dueTime(t)
		a.open[id] = t
		heap.Push(&a.due, t)
	}
	return t
}

// dueTime is when the trace is complete: soon after it falls quiet once its root has ended, long after otherwise.
func (a *assembler) dueTime(t *assembly) time.Time {
	quiet := t.last.Add(a.cfg.QuietAfterRoot)
	if t.rooted || t.late {
		return quiet
	}
	return t.last.Add(a.cfg.QuietWithoutRoot)
}

func (a *assembler) schedule(t *assembly, due time.Time) {
	t.due = due
	heap.Fix(&a.due, t.index)
}

func (t *assembly) hold(r *receipt) {
	if r == nil || (len(t.receipts) > 0 && t.receipts[len(t.receipts)-1] == r) {
		return
	}
	r.hold()
	t.receipts = append(t.receipts, r)
}

func (t *assembly) release(err error) {
	if done := t.handOver(); done != nil {
		done(err)
	}
}

// handOver returns what releases the receipts in place of the assembly, nil when nobody waits.
func (t *assembly) handOver() func(error) {
	if len(t.receipts) == 0 {
		return nil
	}
	receipts := t.receipts
	t.receipts = nil
	return func(err error) {
		for _, r := range receipts {
			r.release(err)
		}
	}
}

// attach adds separately delivered content, message by message; what the span has already, from itself or from a repeated delivery,
// is not added again.
func (s *Span) attach(c Content) {
	s.System = appendNew(s.System, c.System)
	s.Input = appendNew(s.Input, c.Input)
	s.Output = appendNew(s.Output, c.Output)
}

// maxAttached bounds the messages of one list that come separately.
const maxAttached = 256

func appendNew(have, more []Message) []Message {
	for _, m := range more[:min(len(more), max(0, maxAttached-len(have)))] {
		if !slices.ContainsFunc(have, func(h Message) bool { return h.Role == m.Role && slices.Equal(h.Parts, m.Parts) }) {
			have = append(have, m)
		}
	}
	return have
}

// spanOverhead is the size of a Span without its texts, in bytes, rounded up.
const spanOverhead = 1024

func (s *Span) size() int64 {
	n := spanOverhead + len(s.Tool.Arguments) + len(s.Tool.Result) + len(s.Retrieval.Query) + len(s.ErrorMessage)
	for _, d := range s.Retrieval.Documents {
		n += len(d.Text)
	}
	return int64(n) + messagesSize(s.System) + messagesSize(s.Input) + messagesSize(s.Output)
}

func (c *Content) size() int64 {
	return messagesSize(c.System) + messagesSize(c.Input) + messagesSize(c.Output)
}

func messagesSize(messages []Message) (n int64) {
	for _, m := range messages {
		for _, p := range m.Parts {
			n += int64(len(p.Text)) + 64
		}
	}
	return n
}

// dueHeap orders open traces by when they are due.
type dueHeap []*assembly

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	t := x.(*assembly)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *dueHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
