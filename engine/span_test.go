package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIDsAreWrittenAsHex(t *testing.T) {
	t.Parallel()
	in := span(0xabc, 0xde, 0, began)
	data, err := json.Marshal(in)
	require.NoError(t, err)
	require.Contains(t, string(data), `"trace_id":"00000000000000000000000000000abc"`)
	require.Contains(t, string(data), `"span_id":"00000000000000de"`)
	require.NotContains(t, string(data), "parent_span_id")
	var out Span
	require.NoError(t, json.Unmarshal(data, &out))
	require.Equal(t, in, out)

	var trace TraceID
	require.ErrorContains(t, trace.UnmarshalText([]byte("abc")), "want 32 hex digits")
	require.ErrorContains(t, trace.UnmarshalText([]byte("zz000000000000000000000000000000")), "trace id")
	var id SpanID
	require.NoError(t, id.UnmarshalText(nil))
	require.True(t, id.IsZero())
	require.ErrorContains(t, id.UnmarshalText([]byte("00")), "span id")
}

func FuzzIDs(f *testing.F) {
	f.Add([]byte("00000000000000000000000000000abc"))
	f.Add([]byte("00000000000000de"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var trace TraceID
		if trace.UnmarshalText(text) == nil && len(text) > 0 {
			require.Len(t, trace.String(), len(text))
		}
		var id SpanID
		if id.UnmarshalText(text) == nil && len(text) > 0 {
			require.Len(t, id.String(), len(text))
		}
	})
}

func TestTraceIsInOrderOfStartWithParentsFirst(t *testing.T) {
	t.Parallel()
	spans := []Span{span(1, 3, 2, began), span(1, 4, 1, began.Add(time.Second)), span(1, 2, 1, began), span(1, 1, 0, began.Add(-time.Second))}
	want := []SpanID{spanID(1), spanID(2), spanID(3), spanID(4)}
	rng := rand.New(rand.NewPCG(1, 0))
	for range 50 {
		rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
		trace := NewTrace(traceID(1), spans)
		var got []SpanID
		for i := range trace.Spans {
			got = append(got, trace.Spans[i].SpanID)
		}
		require.Equal(t, want, got)
		require.Equal(t, spanID(1), trace.Lead().SpanID)
		require.Equal(t, began.Add(-time.Second), trace.Start())
		require.Equal(t, began.Add(2*time.Second), trace.End())
	}
}

func TestSpansAreGroupedByTraceAndJoinedWithContent(t *testing.T) {
	t.Parallel()
	spans := Join([]Span{span(2, 1, 0, began), span(1, 1, 0, began), span(2, 2, 1, began)}, []Content{
		{TraceID: traceID(2), SpanID: spanID(2), Input: user("hello")},
		{TraceID: traceID(3), SpanID: spanID(2), Input: user("of nobody")},
	})
	traces := Traces(spans)
	require.Len(t, traces, 2)
	require.Equal(t, traceID(2), traces[0].ID)
	require.Len(t, traces[0].Spans, 2)
	require.Equal(t, "hello", traces[0].Spans[1].Input[0].Text())
	require.Equal(t, traceID(1), traces[1].ID)
}

func TestSeriesOfASpan(t *testing.T) {
	t.Parallel()
	asked := Span{Service: "shop", Name: "chat", Operation: OpChat, Model: "large", ResponseModel: "large-01"}
	require.Equal(t, "shop chat large", asked.Series().String(), "a new version meets its predecessor's baseline")
	answered := Span{Service: "shop", Name: "chat", Operation: OpChat, ResponseModel: "large-01"}
	require.Equal(t, "large-01", answered.Series().Model)
	require.Equal(t, "shop GET /", (&Span{Service: "shop", Name: "GET /"}).Series().String())
}

func TestMessageTextLeavesOutWhatIsNoText(t *testing.T) {
	t.Parallel()
	m := Message{Parts: []Part{{Kind: PartText, Text: "a"}, {Kind: PartToolCall, Text: "{}"}, {Kind: PartText, Text: "b"}}}
	require.Equal(t, "a\nb", m.Text())
	require.Equal(t, "a", Message{Parts: m.Parts[:1]}.Text())
	require.Empty(t, Message{}.Text())
}

func TestErrorCodesAndPermanence(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	err := fmt.Errorf("api: %w", Errorf(CodeUnavailable, "store: %w", cause))
	require.Equal(t, CodeUnavailable, ErrorCode(err))
	require.ErrorIs(t, err, cause)
	require.Equal(t, CodeInternal, ErrorCode(cause))
	require.Empty(t, ErrorCode(nil))
	require.NoError(t, Permanent(nil))
	require.True(t, IsPermanent(fmt.Errorf("notify: %w", Permanent(cause))))
	require.ErrorIs(t, Permanent(cause), cause)
	require.False(t, IsPermanent(cause))
}
