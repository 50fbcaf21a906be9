package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// What the generator sends is what the comparison says it is, also after ids and times were overwritten in the encoded bytes.
func TestRequestIsWhatTheComparisonSays(t *testing.T) {
	requests, err := newRequests(2, 1)
	require.NoError(t, err)
	seen := make(map[pcommon.TraceID]bool)
	for serial := range 4 {
		r := requests[serial%2]
		now := time.Now().Add(time.Duration(serial) * time.Hour)
		r.renew(uint64(serial), now)
		decoded := ptraceotlp.NewExportRequest()
		require.NoError(t, decoded.UnmarshalProto(r.body))
		require.Equal(t, spansPerRequest, decoded.Traces().SpanCount())
		spans := decoded.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		for i, s := range spans.All() {
			first := spans.At(i - i%spansPerTrace)
			require.Equal(t, first.TraceID(), s.TraceID())
			if i%spansPerTrace == 0 {
				require.False(t, seen[s.TraceID()], "a trace id was used before")
				seen[s.TraceID()] = true
				require.True(t, s.ParentSpanID().IsEmpty())
			} else {
				require.Equal(t, first.SpanID(), s.ParentSpanID())
			}
			require.Equal(t, pcommon.NewTimestampFromTime(now), s.EndTimestamp())
			require.Less(t, s.StartTimestamp(), s.EndTimestamp())
			require.Equal(t, attributesPerSpan, s.Attributes().Len())
			in, _ := s.Attributes().Get("gen_ai.input.messages")
			out, _ := s.Attributes().Get("gen_ai.output.messages")
			require.Equal(t, messageBytes, len(in.Str())+len(out.Str()))
		}
	}
	require.Len(t, seen, 4*spansPerRequest/spansPerTrace)
}
