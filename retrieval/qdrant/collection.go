package qdrant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// collectionName is the name of a collection in Qdrant. What people need to recognise it stands in clear; the end tells apart
// what that leaves out.
func (m *Memory) collectionName(c engine.Collection) string {
	key, _ := json.Marshal(c) // strings and an integer always have a JSON
	sum := sha256.Sum256(key)
	return strings.Join([]string{
		m.cfg.Prefix, legible(string(c.Purpose)), legible(string(c.Kind)), legible(c.Model.Name), hex.EncodeToString(sum[:8]),
	}, "-")
}

// legible is s in the letters that are safe in a folder's name, cut.
func legible(s string) string {
	safe := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}
	return strings.Map(safe, s[:min(len(s), 32)])
}

// indexes are what filters and eviction ask for. Ids need none: they are those of the points.
var indexes = map[string]qdrant.FieldType{
	fieldService:   qdrant.FieldType_FieldTypeKeyword,
	fieldOperation: qdrant.FieldType_FieldTypeKeyword,
	fieldVersion:   qdrant.FieldType_FieldTypeKeyword,
	fieldRegion:    qdrant.FieldType_FieldTypeKeyword,
	fieldAt:        qdrant.FieldType_FieldTypeInteger,
}

// prepare makes the collection when it is missing, and the indexes that it lacks. Processes may do so at the same time.
func (m *Memory) prepare(ctx context.Context, c engine.Collection, name string) error {
	if _, done := m.prepared.Load(name); done {
		return nil
	}
	reply, err := m.collections.Get(ctx, &qdrant.GetCollectionInfoRequest{CollectionName: name})
	if status.Code(err) == codes.NotFound {
		if _, err = m.collections.Create(ctx, m.wanted(c, name)); status.Code(err) == codes.AlreadyExists {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	info := reply.GetResult() // nil when the collection is new
	if params := info.GetConfig().GetParams().GetVectorsConfig().GetParams(); info != nil &&
		(params.GetSize() != uint64(c.Model.Dimension) || params.GetDistance() != qdrant.Distance_Cosine) {
		return engine.Errorf(engine.CodeConflict, "collection %s has %d dimensions and distance %s: want %d and Cosine",
			name, params.GetSize(), params.GetDistance(), c.Model.Dimension)
	}
	for field, kind := range indexes {
		if _, there := info.GetPayloadSchema()[field]; there {
			continue
		}
		if _, err := m.points.CreateFieldIndex(ctx, &qdrant.CreateFieldIndexCollection{
			CollectionName: name, Wait: qdrant.PtrOf(true), FieldName: field, FieldType: &kind,
		}); err != nil {
			return err
		}
	}
	m.prepared.Store(name, struct{}{})
	return nil
}

// wanted is the collection as it is made.
func (m *Memory) wanted(c engine.Collection, name string) *qdrant.CreateCollection {
	request := &qdrant.CreateCollection{
		CollectionName: name,
		VectorsConfig: qdrant.NewVectorsConfig(&qdrant.VectorParams{
			Size: uint64(c.Model.Dimension), Distance: qdrant.Distance_Cosine, OnDisk: qdrant.PtrOf(m.cfg.OnDisk),
		}),
		HnswConfig: &qdrant.HnswConfigDiff{M: qdrant.PtrOf(uint64(m.cfg.M)), EfConstruct: qdrant.PtrOf(uint64(m.cfg.EfConstruct))},
	}
	if m.cfg.Quantization.Type == QuantizationInt8 {
		request.QuantizationConfig = qdrant.NewQuantizationScalar(&qdrant.ScalarQuantization{
			Type:     qdrant.QuantizationType_Int8,
			Quantile: qdrant.PtrOf(float32(m.cfg.Quantization.Quantile)), AlwaysRam: qdrant.PtrOf(true),
		})
	}
	return request
}
