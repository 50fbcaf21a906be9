package topics

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// change is what happens to the mixture of topics.
type change string

const (
	calm    change = "calm"    // nothing
	born    change = "born"    // a topic that nobody asked about takes a part
	grown   change = "grown"   // a topic has three times its share
	died    change = "died"    // nobody asks about a topic any more
	shifted change = "shifted" // all shares are drawn anew
)

// changes are those that are to be noticed.
var changes = [...]change{born, grown, died, shifted}

// The traffic of a stream.
const (
	history   = 24 * time.Hour // at least, before the change
	later     = 12             // hours that it may come later, so that changes are spread over the day
	aftermath = 8 * time.Hour  // after it
	perHour   = 36             // conversations, on average over a day
	swing     = 0.5            // of that, up by day and down by night
	peakHour  = 14
	users     = 500
)

// Sizes of changes, as shares of all conversations.
const (
	leastShare, mostShare = 0.2, 0.45 // of a topic that is born or dies
	smallShare            = 0.12      // of a topic before it has grown
	growth                = 3
	leastShift            = 0.3 // total variation between the mixtures of a shift
)

// stream is what one service is asked.
type stream struct {
	source  string
	change  change
	pair    string // shared by a stream and its calm twin
	turns   []turn // by time
	start   time.Time
	changed time.Time
	end     time.Time
}

// turn is one prompt.
type turn struct {
	at   time.Time
	user string
	text string
}

// twins makes a stream in which the mixture changes and its twin in which it does not; both are the same up to the change.
func twins(source string, from []assistant, what change, number int, seed uint64) (changed, control stream) {
	pair := fmt.Sprintf("%s-%s-%d", source, what, number)
	r := random(seed, pair)
	a := slices.Clone(from[r.IntN(len(from))])
	r.Shuffle(len(a), func(i, j int) { a[i], a[j] = a[j], a[i] })
	before, after := mixtures(r, len(a), what)

	start := evals.JudgedAt
	at := start.Add(history + time.Duration(r.IntN(later*60))*time.Minute)
	s := stream{source: source, change: what, pair: pair, start: start, changed: at, end: at.Add(aftermath)}
	past := converse(random(seed, pair+" before"), a, before, s.start, s.changed)
	changed, control = s, s
	control.change = calm
	changed.turns = slices.Concat(past, converse(random(seed, pair+" after"), a, after, s.changed, s.end))
	control.turns = slices.Concat(past, converse(random(seed, pair+" after"), a, before, s.changed, s.end))
	return changed, control
}

func random(seed uint64, part string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(part))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// mixtures are the shares of topics before and after a change; what it is about comes first.
func mixtures(r *rand.Rand, n int, what change) (before, after []float64) {
	before = drawn(r, n)
	share := leastShare + r.Float64()*(mostShare-leastShare)
	switch what {
	case born:
		return with(before, 0), with(before, share)
	case grown:
		return with(before, smallShare), with(before, growth*smallShare)
	case died:
		return with(before, share), with(before, 0)
	}
	for after = drawn(r, n); variation(before, after) < leastShift; {
		before, after = drawn(r, n), drawn(r, n)
	}
	return before, after
}

// drawn is shares of which the largest is up to some ten times the smallest.
func drawn(r *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	var sum float64
	for i := range out {
		out[i] = 0.1 + r.Float64()
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// with is the mixture in which the first topic has the share, and the others keep their proportions.
func with(mixture []float64, share float64) []float64 {
	out := slices.Clone(mixture)
	rest := 1 - out[0]
	for i := range out {
		out[i] *= (1 - share) / rest
	}
	out[0] = share
	return out
}

// variation is the total variation distance of two mixtures.
func variation(a, b []float64) float64 {
	var sum float64
	for i := range a {
		sum += math.Abs(a[i]-b[i]) / 2
	}
	return sum
}

// converse makes the turns of conversations between two times. All of a conversation is about one topic.
func converse(r *rand.Rand, a assistant, mixture []float64, from, to time.Time) []turn {
	var out []turn
	for at := from; ; {
		// Thinning: of conversations at the highest rate of a day those are kept that the hour has (Lewis and Shedler, 1979).
		at = at.Add(time.Duration(r.ExpFloat64() / (perHour * (1 + swing)) * float64(time.Hour)))
		if !at.Before(to) {
			break
		}
		hour := at.Sub(at.Truncate(24 * time.Hour)).Hours()
		if r.Float64()*(1+swing) > 1+swing*math.Cos(2*math.Pi*(hour-peakHour)/24) {
			continue
		}
		about, user, said := a[draw(r, mixture)], "user-"+strconv.Itoa(r.IntN(users)), at
		for range 1 + r.IntN(2) {
			if said.Before(to) {
				out = append(out, turn{said, user, about.prompts[r.IntN(len(about.prompts))]})
			}
			said = said.Add(20*time.Second + time.Duration(r.IntN(60))*time.Second)
		}
	}
	slices.SortStableFunc(out, func(a, b turn) int { return a.at.Compare(b.at) })
	return out
}

func draw(r *rand.Rand, mixture []float64) int {
	x := r.Float64()
	for i, share := range mixture {
		if x -= share; x < 0 {
			return i
		}
	}
	return len(mixture) - 1
}

// service is what the stream is sent to.
func (s *stream) service() string { return "topics-" + s.pair }

// batchTurns is how many prompts are handed over at once.
const batchTurns = 32

// batches are the prompts as an application would have sent them, a trace each.
func (s *stream) batches() iter.Seq2[engine.Batch, error] {
	return func(yield func(engine.Batch, error) bool) {
		for start := 0; start < len(s.turns); start += batchTurns {
			var b engine.Batch
			for i := start; i < min(start+batchTurns, len(s.turns)); i++ {
				b.Spans = append(b.Spans, s.span(i))
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (s *stream) span(i int) engine.Span {
	t := &s.turns[i]
	one := engine.Span{
		Name: "chat", Operation: engine.OpChat, Service: s.service(), User: t.user, Input: evals.Said("user", t.text),
		Start: t.at.Add(-time.Second), End: t.at,
	}
	binary.BigEndian.PutUint64(one.TraceID[:], 1)
	binary.BigEndian.PutUint64(one.TraceID[8:], uint64(i)+1)
	binary.BigEndian.PutUint64(one.SpanID[:], uint64(i)+1)
	return one
}

// after counts the prompts since the change, up to a time.
func (s *stream) after(at time.Time) int {
	n := 0
	for _, t := range s.turns {
		if !t.at.Before(s.changed) && !t.at.After(at) {
			n++
		}
	}
	return n
}

// digest names the stream by what is in it.
func (s *stream) digest() string {
	texts := make([]string, 0, len(s.turns))
	for _, t := range s.turns {
		texts = append(texts, t.text)
	}
	return evals.Digest(texts)
}
