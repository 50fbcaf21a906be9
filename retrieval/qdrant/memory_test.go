package qdrant_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	client "github.com/qdrant/go-client/qdrant"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/qdrant"
	"github.com/llm-sentinel/llm-sentinel/retrieval/retrievaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is for collections of the test's own, which its end deletes. QDRANT_ADDR and QDRANT_API_KEY name a server to use
// instead of the stack's.
func config(t *testing.T) qdrant.Config {
	t.Helper()
	cfg := qdrant.DefaultConfig()
	if address := os.Getenv("QDRANT_ADDR"); address != "" {
		cfg.Address, cfg.APIKey = address, engine.Secret(os.Getenv("QDRANT_API_KEY"))
	} else {
		cfg.Address = stacktest.Require(t, "SENTINEL_TEST_QDRANT")
	}
	cfg.Prefix = strings.ReplaceAll(uuid.NewString(), "-", "")
	cfg.Timeout = 30 * time.Second // for busy machines
	t.Cleanup(func() { deleteCollections(t, cfg) })
	return cfg
}

// beside is a connection beside the memory's own.
func beside(t *testing.T, cfg qdrant.Config) (*client.GrpcClient, context.Context) {
	t.Helper()
	conn, err := grpc.NewClient(cfg.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return client.NewGrpcClientFromConn(conn), metadata.AppendToOutgoingContext(context.Background(), "api-key", cfg.APIKey.Reveal())
}

func collections(t *testing.T, cfg qdrant.Config) []string {
	t.Helper()
	c, ctx := beside(t, cfg)
	reply, err := c.Collections().List(ctx, &client.ListCollectionsRequest{})
	require.NoError(t, err)
	var names []string
	for _, found := range reply.GetCollections() {
		if strings.HasPrefix(found.GetName(), cfg.Prefix) {
			names = append(names, found.GetName())
		}
	}
	return names
}

func deleteCollections(t *testing.T, cfg qdrant.Config) {
	t.Helper()
	c, ctx := beside(t, cfg)
	for _, name := range collections(t, cfg) {
		_, err := c.Collections().Delete(ctx, &client.DeleteCollection{CollectionName: name})
		require.NoError(t, err)
	}
}

func open(t *testing.T, cfg qdrant.Config) *qdrant.Memory {
	t.Helper()
	m, err := qdrant.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() }) // a test may have closed it
	return m
}

func TestConformance(t *testing.T) {
	for _, kind := range []qdrant.QuantizationType{qdrant.QuantizationInt8, qdrant.QuantizationNone} {
		t.Run(string(kind), func(t *testing.T) {
			configs := map[engine.Memory]qdrant.Config{}
			openWith := func(t *testing.T, cfg qdrant.Config) engine.Memory {
				m := open(t, cfg)
				configs[m] = cfg
				return m
			}
			fresh := func(t *testing.T) qdrant.Config {
				cfg := config(t)
				cfg.Quantization.Type = kind
				return cfg
			}
			retrievaltest.Run(t, func(t *testing.T) engine.Memory { return openWith(t, fresh(t)) }, retrievaltest.Options{
				Reopen: func(t *testing.T, m engine.Memory) engine.Memory {
					require.NoError(t, m.(*qdrant.Memory).Close())
					return openWith(t, configs[m])
				},
				Bounded: func(t *testing.T, limit int) engine.Memory {
					cfg := fresh(t)
					cfg.MaxPerCollection = limit
					return open(t, cfg)
				},
				Server: func(t *testing.T) (engine.Memory, retrievaltest.Server) {
					stacktest.Require(t, "SENTINEL_TEST_QDRANT")
					server := stacktest.Own(t, "qdrant")
					cfg := qdrant.DefaultConfig()
					cfg.Address = server.Value(t, "SENTINEL_TEST_QDRANT")
					cfg.Quantization.Type = kind
					return open(t, cfg), server
				},
			})
		})
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	require.NoError(t, qdrant.DefaultConfig().Validate())
	for name, change := range map[string]func(*qdrant.Config){
		"address":            func(c *qdrant.Config) { c.Address = "localhost" },
		"address port":       func(c *qdrant.Config) { c.Address = "localhost:" },
		"ca_file":            func(c *qdrant.Config) { c.TLS.CAFile = "ca.pem" },
		"ca_file missing":    func(c *qdrant.Config) { c.TLS = qdrant.TLS{Enabled: true, CAFile: "no/such/file"} },
		"prefix":             func(c *qdrant.Config) { c.Prefix = "../a" },
		"timeout":            func(c *qdrant.Config) { c.Timeout = 0 },
		"batch_size":         func(c *qdrant.Config) { c.BatchSize = 0 },
		"max_per_collection": func(c *qdrant.Config) { c.MaxPerCollection = 0 },
		"m":                  func(c *qdrant.Config) { c.M = 3 },
		"ef_construct":       func(c *qdrant.Config) { c.EfConstruct = 0 },
		"ef_search":          func(c *qdrant.Config) { c.EfSearch = 0 },
		"quantization type":  func(c *qdrant.Config) { c.Quantization.Type = "int4" },
		"quantile":           func(c *qdrant.Config) { c.Quantization.Quantile = 0 },
		"oversampling":       func(c *qdrant.Config) { c.Quantization.Oversampling = 0.5 },
	} {
		cfg := qdrant.DefaultConfig()
		cfg.APIKey = "hidden"
		change(&cfg)
		_, err := qdrant.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
		require.NotContains(t, err.Error(), "hidden", name)
	}
}

var (
	collection = engine.Collection{
		Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: engine.Model{Name: "Org/Model:latest", Version: "1", Dimension: 4},
	}
	all = engine.Query{Filter: engine.Filter{Collection: collection}, Vector: []float32{1, 0, 0, 0}, K: 1000}
)

func memos(n int) []engine.Memo {
	out := make([]engine.Memo, n)
	for i := range out {
		out[i] = engine.Memo{
			ID: fmt.Sprintf("%05d", i), Collection: collection, Vector: []float32{1, float32(i), 0, 0},
			At: time.Unix(1_700_000_000+int64(i), 0).UTC(),
		}
	}
	return out
}

func TestCollectionsCarryLegibleNamesAndIndexes(t *testing.T) {
	cfg := config(t)
	require.NoError(t, open(t, cfg).Remember(t.Context(), memos(1)))
	names := collections(t, cfg)
	require.Len(t, names, 1)
	require.Regexp(t, cfg.Prefix+`-normal-user_prompt-org_model_latest-[0-9a-f]{16}$`, names[0])
	c, ctx := beside(t, cfg)
	reply, err := c.Collections().Get(ctx, &client.GetCollectionInfoRequest{CollectionName: names[0]})
	require.NoError(t, err)
	require.Len(t, reply.GetResult().GetPayloadSchema(), 5)
	require.Equal(t, client.QuantizationType_Int8, reply.GetResult().GetConfig().GetQuantizationConfig().GetScalar().GetType())
}

// A collection that its maker did not finish is finished by the next, and one of another shape is not written to.
func TestCollectionsAreMadeWhole(t *testing.T) {
	cfg := config(t)
	require.NoError(t, open(t, cfg).Remember(t.Context(), memos(1)))
	name := collections(t, cfg)[0]
	c, ctx := beside(t, cfg)
	remake := func(size uint64) {
		_, err := c.Collections().Delete(ctx, &client.DeleteCollection{CollectionName: name})
		require.NoError(t, err)
		_, err = c.Collections().Create(ctx, &client.CreateCollection{
			CollectionName: name, VectorsConfig: client.NewVectorsConfig(&client.VectorParams{Size: size, Distance: client.Distance_Cosine}),
		})
		require.NoError(t, err)
	}
	remake(4)
	require.NoError(t, open(t, cfg).Remember(t.Context(), memos(1)))
	reply, err := c.Collections().Get(ctx, &client.GetCollectionInfoRequest{CollectionName: name})
	require.NoError(t, err)
	require.Len(t, reply.GetResult().GetPayloadSchema(), 5)
	remake(5)
	err = open(t, cfg).Remember(t.Context(), memos(1))
	require.Equal(t, engine.CodeConflict, engine.ErrorCode(err))
	require.ErrorContains(t, err, "5 dimensions")
}

func TestLostCollectionsAreMadeAnew(t *testing.T) {
	cfg := config(t)
	m := open(t, cfg)
	require.NoError(t, m.Remember(t.Context(), memos(3)))
	deleteCollections(t, cfg)
	found, err := m.Nearest(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, m.Remember(t.Context(), memos(2)))
	found, err = m.Nearest(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, found, 2)
}

func TestEvictionLeavesRoom(t *testing.T) {
	cfg := config(t)
	cfg.MaxPerCollection, cfg.BatchSize = 200, 50
	m := open(t, cfg)
	require.NoError(t, m.Remember(t.Context(), memos(200)))
	require.Zero(t, m.Evicted())
	require.NoError(t, m.Remember(t.Context(), memos(360)))
	require.Equal(t, uint64(162), m.Evicted())
	found, err := m.Nearest(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, found, 198)
	require.Equal(t, "00162", found[0].Memo.ID, "the oldest are gone")
}

func TestTimesAreFilteredToTheMicrosecond(t *testing.T) {
	m := open(t, config(t))
	items := memos(4)
	for i, at := range []time.Time{{}, time.Unix(0, -1500).UTC(), time.Unix(1_700_000_000, 1999).UTC(), time.Unix(1_700_000_000, 2000).UTC()} {
		items[i].At = at
	}
	require.NoError(t, m.Remember(t.Context(), items))
	between := func(from, before time.Time) (ids []string) {
		q := all
		q.From, q.Before = from, before
		found, err := m.Nearest(t.Context(), q)
		require.NoError(t, err)
		for _, n := range found {
			ids = append(ids, n.Memo.ID)
			require.Equal(t, items[n.Memo.ID[4]-'0'].At, n.Memo.At, "nanoseconds and no time come back")
		}
		return ids
	}
	edge := time.Unix(1_700_000_000, 2000)
	require.Equal(t, []string{"00000", "00001", "00002"}, between(time.Time{}, edge))
	require.Equal(t, []string{"00003"}, between(edge, time.Time{}))
	require.Equal(t, []string{"00001"}, between(time.Unix(0, -2000), time.Unix(0, -1000)))
}
