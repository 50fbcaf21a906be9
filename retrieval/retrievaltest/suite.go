package retrievaltest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Options say what a backend is able to do. The zero value is a volatile memory of the highest precision and recall.
type Options struct {
	// Reopen closes m and opens the same data again; nil for a memory that does not outlive its process.
	Reopen func(t *testing.T, m engine.Memory) engine.Memory
	// Bounded opens an empty memory whose collections hold limit memos each; nil for one without a bound.
	Bounded func(t *testing.T, limit int) engine.Memory
	// Server opens an empty memory on a server of its own; nil for a memory without one.
	Server func(t *testing.T) (engine.Memory, Server)
	// Tolerance is how far a similarity may be off; 0 means 1e-5.
	Tolerance float64
	// Recall is the share of the true ten nearest among 1,000 that has to be found; 0 means all.
	Recall float64
}

// Run checks a backend. open returns an empty memory, closed by the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) engine.Memory, o Options) {
	if o.Tolerance == 0 {
		o.Tolerance = 1e-5
	}
	if o.Recall == 0 {
		o.Recall = 1
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, engine.Memory, Options)
	}{
		{"nearest first with its cosine", nearestFirst},
		{"nearest agrees with a full comparison", agreesWithFullComparison},
		{"memos keep every field", memosKeepEveryField},
		{"k beyond the size", kBeyondSize},
		{"ties", ties},
		{"each filter", eachFilter},
		{"filters combine", filtersCombine},
		{"remember replaces", rememberReplaces},
		{"forget", forget},
		{"collections are isolated", collectionsAreIsolated},
		{"a change of model starts empty", modelChangeStartsEmpty},
		{"unknown collection", unknownCollection},
		{"empty remember", emptyRemember},
		{"bad vectors are refused", badVectors},
		{"hostile strings", hostileStrings},
		{"strings that are not text", notText},
		{"many at once", manyAtOnce},
		{"concurrent use", concurrentUse},
		{"cancelled calls change nothing", cancelledCalls},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t), o) })
	}
	t.Run("reopen", func(t *testing.T) {
		if o.Reopen == nil {
			t.Skip("the memory does not outlive its process")
		}
		survivesReopen(t, open(t), o)
	})
	t.Run("the oldest make room", func(t *testing.T) {
		if o.Bounded == nil {
			t.Skip("the memory has no bound")
		}
		oldestMakeRoom(t, o.Bounded(t, 3))
	})
	t.Run("server away and back", func(t *testing.T) {
		if o.Server == nil {
			t.Skip("the memory has no server")
		}
		m, server := o.Server(t)
		outlivesItsServer(t, m, server)
	})
}

const dimension = 8

var (
	model  = engine.Model{Name: "test-model", Version: "1", Dimension: dimension}
	normal = engine.Collection{Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: model}
	noon   = time.Date(2025, time.March, 3, 12, 0, 0, 0, time.UTC)
)

// at is the unit vector in the plane of the first two axes at the given angle in degrees from the first.
func at(degrees float64) []float32 {
	v := make([]float32, dimension)
	v[0] = float32(math.Cos(degrees * math.Pi / 180))
	v[1] = float32(math.Sin(degrees * math.Pi / 180))
	return v
}

func random(source *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	var sum float64
	for i := range v {
		x := source.NormFloat64()
		v[i] = float32(x)
		sum += x * x
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

func memo(id string, degrees float64) engine.Memo {
	return engine.Memo{ID: id, Collection: normal, Vector: at(degrees), Text: "text of " + id, Service: "checkout", At: noon}
}

func remember(t *testing.T, m engine.Memory, items ...engine.Memo) {
	t.Helper()
	require.NoError(t, m.Remember(t.Context(), items))
}

func nearest(t *testing.T, m engine.Memory, q engine.Query) []engine.Neighbor {
	t.Helper()
	neighbors, err := m.Nearest(t.Context(), q)
	require.NoError(t, err)
	return neighbors
}

// query asks for the ten nearest to 0 degrees.
func query(f engine.Filter) engine.Query { return engine.Query{Filter: f, Vector: at(0), K: 10} }

func all() engine.Query { return query(engine.Filter{Collection: normal}) }

func ids(neighbors []engine.Neighbor) []string {
	out := []string{}
	for _, n := range neighbors {
		out = append(out, n.Memo.ID)
	}
	return out
}

func requireInvalid(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%v", err)
}
