package embedded

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// shapes are kinds of vectors that a rounded scan may stumble over.
var shapes = []struct {
	name   string
	vector func(source *rand.Rand, dimension int) []float32
}{
	{"random", func(source *rand.Rand, dimension int) []float32 {
		return each(dimension, func(int) float64 { return source.NormFloat64() })
	}},
	{"one of few", func(source *rand.Rand, dimension int) []float32 { // duplicates
		seed := source.Uint64N(3)
		few := rand.New(rand.NewPCG(seed, seed))
		return each(dimension, func(int) float64 { return few.NormFloat64() })
	}},
	{"a few units in the last place apart", func(source *rand.Rand, dimension int) []float32 {
		return each(dimension, func(j int) float64 { return math.Sin(float64(j+1)) * (1 + float64(source.IntN(5))*0x1p-23) })
	}},
	{"within half a step", func(source *rand.Rand, dimension int) []float32 { // the codes of all are the same
		return each(dimension, func(j int) float64 {
			if j == 0 {
				return maxCode
			}
			return float64(j%9-4) + 0.98*(source.Float64()-0.5)
		})
	}},
	{"axis", func(source *rand.Rand, dimension int) []float32 {
		axis, sign := source.IntN(dimension), float64(1-2*source.IntN(2))
		return each(dimension, func(j int) float64 {
			if j == axis {
				return sign
			}
			return 0
		})
	}},
	{"signs", func(source *rand.Rand, dimension int) []float32 {
		return each(dimension, func(int) float64 { return float64(1 - 2*source.IntN(2)) })
	}},
	{"one great component", func(source *rand.Rand, dimension int) []float32 { // what is small has the code 0
		return each(dimension, func(j int) float64 {
			if j == 0 {
				return 1
			}
			return source.NormFloat64() * 1e-3
		})
	}},
	{"of every size", func(source *rand.Rand, dimension int) []float32 {
		v := each(dimension, func(int) float64 { return source.NormFloat64() * math.Pow(10, -40*source.Float64()) })
		v[source.IntN(dimension)] = 1
		return v
	}},
}

func each(dimension int, component func(j int) float64) []float32 {
	v := make([]float32, dimension)
	for j := range v {
		v[j] = float32(component(j))
	}
	return v
}

// fullScan is what nearest has to find, by computing every similarity.
func (c *collection) fullScan(f engine.Filter, v []float32, k int) []engine.Neighbor {
	top, match := best{c: c}, c.matcher(f)
	for i := range c.rows {
		if match(i) && (len(f.IDs) == 0 || slices.Contains(f.IDs, c.rows[i].id)) {
			top.offer(hit{i, dot(c.vector(i), v)}, k)
		}
	}
	slices.SortFunc(top.hits, top.compare)
	neighbors := make([]engine.Neighbor, len(top.hits))
	for n, h := range top.hits {
		neighbors[n] = engine.Neighbor{Memo: c.memo(h.row), Similarity: max(-1, min(1, float64(h.similarity)))}
	}
	return neighbors
}

// churn puts count memos, replaces some, and removes some, as writes do.
func churn(t testing.TB, c *collection, source *rand.Rand, count int, vector func() []float32) {
	for range count {
		v, err := unit(vector(), c.key.Model.Dimension)
		require.NoError(t, err)
		c.put(engine.Memo{
			ID: fmt.Sprint(source.IntN(count)), Vector: v, At: time.Unix(source.Int64N(100), 0),
			Service: fmt.Sprint("service-", source.IntN(3)), Region: fmt.Sprint("region-", source.IntN(2)),
		})
		if source.IntN(4) == 0 {
			c.remove(fmt.Sprint(source.IntN(count)))
		}
	}
}

// requireSameAsFullScan compares neighbors, their order, and every bit of their similarities.
func requireSameAsFullScan(t *testing.T, c *collection, v []float32, k int) {
	t.Helper()
	v, err := unit(v, c.key.Model.Dimension)
	require.NoError(t, err)
	for _, f := range []engine.Filter{
		{}, {Service: "service-1"}, {Service: "service-1", Region: "region-0"}, {Service: "nobody"},
		{From: time.Unix(20, 0), Before: time.Unix(70, 0)}, {IDs: []string{"1", "2", "2", "unknown", "7"}},
	} {
		require.Equal(t, c.fullScan(f, v, k), c.nearest(f, v, k), "k %d, filter %+v", k, f)
	}
}

func TestNearestFindsWhatAFullScanFinds(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			source := rand.New(rand.NewPCG(7, 8))
			for _, dimension := range []int{1, 3, 32, 67, 256, 384} {
				c := newCollection(engine.Collection{Model: engine.Model{Dimension: dimension}})
				churn(t, c, source, 700, func() []float32 { return shape.vector(source, dimension) }) // more than one block
				for _, k := range []int{1, 2, 10, 300, 10_000} {
					requireSameAsFullScan(t, c, shape.vector(source, dimension), k)
				}
				requireSameAsFullScan(t, c, shapes[0].vector(source, dimension), 10)
				requireSameAsFullScan(t, c, c.vector(source.IntN(len(c.rows))), 10)
			}
		})
	}
}

func TestNearestWhateverTheOrderOfRows(t *testing.T) {
	const dimension = 64
	source := rand.New(rand.NewPCG(9, 10))
	query, err := unit(shapes[0].vector(source, dimension), dimension)
	require.NoError(t, err)
	var vectors [][]float32
	for range 1000 {
		v, err := unit(shapes[0].vector(source, dimension), dimension)
		require.NoError(t, err)
		vectors = append(vectors, v)
	}
	for _, order := range []int{1, -1} { // each row nearer than all before it, and the other way round
		slices.SortFunc(vectors, func(a, b []float32) int { return order * cmp.Compare(dot(a, query), dot(b, query)) })
		c := newCollection(engine.Collection{Model: engine.Model{Dimension: dimension}})
		for i, v := range vectors {
			c.put(engine.Memo{ID: fmt.Sprint(i), Vector: v})
		}
		requireSameAsFullScan(t, c, query, 10)
	}
}

func TestFewSimilaritiesAreComputed(t *testing.T) {
	const dimension = 256
	source := rand.New(rand.NewPCG(11, 12))
	c := newCollection(engine.Collection{Model: engine.Model{Dimension: dimension}})
	churn(t, c, source, 5000, func() []float32 { return shapes[0].vector(source, dimension) })
	v, err := unit(shapes[0].vector(source, dimension), dimension)
	require.NoError(t, err)
	require.Less(t, len(c.candidates(engine.Filter{}, v, 10)), 100)
}

func TestCodesKeepStepWithVectors(t *testing.T) {
	const dimension = 67
	source := rand.New(rand.NewPCG(13, 14))
	c := newCollection(engine.Collection{Model: engine.Model{Dimension: dimension}})
	churn(t, c, source, 300, func() []float32 { return shapes[0].vector(source, dimension) })
	require.NotEmpty(t, c.rows)
	want := newCodes(dimension)
	for i := range c.rows {
		want.grow()
		want.set(i, c.vector(i))
		require.Equal(t, i, c.index[c.rows[i].id])
	}
	require.Equal(t, want.scales, c.codes.scales)
	for i := range c.rows {
		require.Equal(t, want.row(i)[:dimension], c.codes.row(i)[:dimension])
	}
	require.Len(t, c.codes.values, len(c.rows)*c.codes.stride)
	for len(c.rows) > 0 {
		c.remove(c.rows[0].id)
	}
	require.Empty(t, c.codes.values)
	require.Empty(t, c.nearest(engine.Filter{}, c.query(t), 1))
}

func (c *collection) query(t *testing.T) []float32 {
	v, err := unit(each(c.key.Model.Dimension, func(int) float64 { return 1 }), c.key.Model.Dimension)
	require.NoError(t, err)
	return v
}

// FuzzNearest takes vectors from raw, a byte a component, and fills them up with vectors of a shape.
func FuzzNearest(f *testing.F) {
	f.Add([]byte{1, 2, 3, 255, 254, 253, 0, 0, 1}, uint64(1), uint8(0), uint16(3), uint16(2), uint16(20))
	f.Add([]byte{}, uint64(2), uint8(1), uint16(256), uint16(10), uint16(300))
	f.Add([]byte{128, 127}, uint64(3), uint8(2), uint16(33), uint16(1), uint16(600))
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64, shape uint8, dimension, k, count uint16) {
		d, n := 1+int(dimension)%400, int(count)%600
		source := rand.New(rand.NewPCG(seed, 0))
		vector := func() []float32 {
			if len(raw) < d {
				return shapes[int(shape)%len(shapes)].vector(source, d)
			}
			v := each(d, func(j int) float64 { return float64(int8(raw[j])) })
			raw = raw[d:]
			if length(v) == 0 {
				v[0] = 1
			}
			return v
		}
		c := newCollection(engine.Collection{Model: engine.Model{Dimension: d}})
		query := vector()
		churn(t, c, source, n, vector)
		requireSameAsFullScan(t, c, query, 1+int(k))
	})
}

// BenchmarkNearest compares nearest with a full scan. Its p50-ms is the median of its iterations.
func BenchmarkNearest(b *testing.B) {
	for _, set := range []struct {
		count, dimension int
		clustered        bool
	}{{10_000, 256, false}, {100_000, 256, false}, {100_000, 256, true}, {100_000, 384, false}} {
		source := rand.New(rand.NewPCG(1, 2))
		random := func() []float32 { return shapes[0].vector(source, set.dimension) }
		vector, name := random, "random"
		if set.clustered { // around 500 centres, to which the cosine is about 0.9
			name = "clustered"
			centres := make([][]float32, 500)
			for i := range centres {
				centres[i] = random()
			}
			vector = func() []float32 {
				centre := centres[source.IntN(len(centres))]
				return each(set.dimension, func(j int) float64 { return float64(centre[j]) + 0.5*source.NormFloat64() })
			}
		}
		m, err := Open(b.Context(), Config{MaxPerCollection: set.count}, slog.New(slog.DiscardHandler))
		require.NoError(b, err)
		key := engine.Collection{Model: engine.Model{Dimension: set.dimension}}
		items := make([]engine.Memo, set.count)
		for i := range items {
			items[i] = engine.Memo{ID: fmt.Sprint(i), Collection: key, Vector: vector(), Service: fmt.Sprint("service-", i%20)}
		}
		require.NoError(b, m.Remember(b.Context(), items))
		c := m.loaded[key]
		queries := make([][]float32, 64)
		for i := range queries {
			queries[i], err = unit(vector(), set.dimension)
			require.NoError(b, err)
		}
		for _, filter := range []struct {
			name string
			engine.Filter
		}{{"all", engine.Filter{Collection: key}}, {"one service of 20", engine.Filter{Collection: key, Service: "service-7"}}} {
			run := func(method string, nearest func(v []float32)) {
				b.Run(fmt.Sprintf("%d x %d/%s/%s/%s", set.count, set.dimension, name, filter.name, method), func(b *testing.B) {
					var times []time.Duration
					for b.Loop() {
						start := time.Now()
						nearest(queries[len(times)%len(queries)])
						times = append(times, time.Since(start))
					}
					slices.Sort(times)
					b.ReportMetric(float64(times[len(times)/2])/float64(time.Millisecond), "p50-ms")
				})
			}
			run("nearest", func(v []float32) {
				if _, err := m.Nearest(b.Context(), engine.Query{Filter: filter.Filter, Vector: v, K: 10}); err != nil {
					b.Fatal(err)
				}
			})
			run("full scan", func(v []float32) { c.fullScan(filter.Filter, v, 10) })
		}
	}
}
