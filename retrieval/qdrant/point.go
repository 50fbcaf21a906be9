package qdrant

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// The fields of a point's payload. Texts that are empty are left out.
const (
	fieldID        = "id"
	fieldText      = "text"
	fieldService   = "service"
	fieldOperation = "operation"
	fieldVersion   = "version"
	fieldRegion    = "region"
	fieldFamily    = "family"
	fieldSource    = "source"
	fieldAt        = "at"          // microseconds since 1970, which the float64 of a range holds exactly
	fieldNanos     = "nanoseconds" // since 1970
)

// memoSpace makes the ids of points from the ids of memos; another one would make them strangers to each other.
var memoSpace = uuid.MustParse("8c1f6d0e-3b57-4a52-9c57-6a9a5a0f4a11")

// pointID is a UUID of version 8: a part of the SHA-256 of the memo's id.
func pointID(memoID string) *qdrant.PointId {
	return qdrant.NewIDUUID(uuid.NewHash(sha256.New(), memoSpace, []byte(memoID), 8).String())
}

func point(m engine.Memo) *qdrant.PointStruct {
	nanos := retrieval.Nanos(m.At)
	payload := map[string]*qdrant.Value{
		fieldID:    qdrant.NewValueString(m.ID),
		fieldAt:    qdrant.NewValueInt(micros(nanos)),
		fieldNanos: qdrant.NewValueInt(nanos),
	}
	for field, text := range map[string]string{
		fieldText: m.Text, fieldService: m.Service, fieldOperation: m.Operation, fieldVersion: m.Version,
		fieldRegion: m.Region, fieldFamily: m.Family, fieldSource: m.Source,
	} {
		if text != "" {
			payload[field] = qdrant.NewValueString(text)
		}
	}
	return &qdrant.PointStruct{Id: pointID(m.ID), Vectors: qdrant.NewVectorsDense(m.Vector), Payload: payload}
}

// memo is what a point stands for.
func memo(c engine.Collection, payload map[string]*qdrant.Value) engine.Memo {
	text := func(field string) string { return payload[field].GetStringValue() }
	return engine.Memo{
		ID: text(fieldID), Collection: c, Text: text(fieldText), Service: text(fieldService), Operation: text(fieldOperation),
		Version: text(fieldVersion), Region: text(fieldRegion), Family: text(fieldFamily), Source: text(fieldSource),
		At: retrieval.Time(payload[fieldNanos].GetIntegerValue()),
	}
}

// micros rounds down.
func micros(nanos int64) int64 {
	out := nanos / 1000
	if nanos%1000 < 0 {
		out--
	}
	return out
}

// filter is f as Qdrant reads it; no conditions match all points.
func filter(f engine.Filter) *qdrant.Filter {
	var must []*qdrant.Condition
	for field, text := range map[string]string{
		fieldService: f.Service, fieldOperation: f.Operation, fieldVersion: f.Version, fieldRegion: f.Region,
	} {
		if text != "" {
			must = append(must, qdrant.NewMatchKeyword(field, text))
		}
	}
	if !f.From.IsZero() || !f.Before.IsZero() {
		must = append(must, qdrant.NewRange(fieldAt, &qdrant.Range{Gte: bound(f.From), Lt: bound(f.Before)}))
	}
	if len(f.IDs) > 0 {
		ids := make([]*qdrant.PointId, len(f.IDs))
		for i, id := range f.IDs {
			ids[i] = pointID(id)
		}
		must = append(must, qdrant.NewHasID(ids...))
	}
	return &qdrant.Filter{Must: must}
}

func bound(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	out := float64(micros(retrieval.Nanos(t)))
	return &out
}
