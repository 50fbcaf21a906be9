package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A secret is planted in everything that a client can write, on every way that a trace can go; none of what stands behind the
// redactor may ever see it.
func TestNothingUnredactedGetsOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) {
			c.SemanticQueue = 1
			c.EmbedKinds = []TextKind{TextUserPrompt, TextSystemPrompt, TextResponse, TextToolArguments, TextToolResult, TextDocument}
		})
		x.screener.score = abnormal
		x.semantic.score = func(o Observation) ([]Finding, error) {
			f := material(Jailbreak, 1e-9)
			f.TraceID, f.At, f.Series = o.Trace.ID, o.Trace.End(), o.Trace.Lead().Series()
			f.Subject = Subject{SubjectUser, o.Trace.Lead().User}
			for _, text := range o.Texts {
				f.Excerpt += text.Text + " "
			}
			f.Nearest = &Neighbor{Memo: Memo{Text: f.Excerpt}}
			f.Known = &Neighbor{Memo: Memo{Text: f.Excerpt, Family: "f"}}
			f.Reason = "resembles " + f.Excerpt
			return []Finding{f}, o.Memory.Remember(t.Context(), []Memo{{Text: f.Excerpt}})
		}
		x.run()
		speak := func() Span {
			x.traces++
			s := speaking(x.traces, 1, 0, secret)
			s.Start = time.Now().UTC().Add(-time.Second)
			s.End = time.Now().UTC()
			s.Failed, s.Operation = true, OpChat
			s.Name, s.User, s.Tenant, s.APIKey, s.Conversation = "chat with "+secret, secret, "of "+secret, "key "+secret, secret
			return s
		}
		for range 10 {
			x.consume(speak())
			pass(30 * time.Second)
		}
		x.preferred.hold = make(chan struct{})
		for range 20 { // more than the queue holds: these wait in the backlog
			x.consume(speak())
		}
		require.NoError(t, x.Consume(t.Context(), Batch{
			Contents: []Content{{TraceID: traceID(x.traces), SpanID: spanID(1), At: time.Now(), Input: user("later: " + secret)}},
			Markers:  []ChangeMarker{{ID: "m", At: time.Now(), Service: "shop", Description: "rotated " + secret}},
		}))
		pass(time.Minute)
		_, deferred := x.store.left()
		require.Positive(t, deferred)
		backlog := x.store.everything(t)
		close(x.preferred.hold)
		pass(20 * time.Minute)
		list := x.store.list()
		require.NotEmpty(t, list)
		_, err := x.Explain(t.Context(), list[0].ID)
		require.NoError(t, err)
		pass(2 * time.Hour)
		require.NoError(t, x.stop())

		everywhere := map[string]any{
			"embedder": x.preferred.texts, "stand-in": x.builtin.texts, "memory": x.memory.memos, "journal and snapshots": x.store.everything(t),
			"backlog": backlog, "explainer": x.explainer.asked, "observer": x.observer.alerts, "services": x.Services(), "health": x.Health(),
		}
		for who, what := range everywhere {
			data, err := json.Marshal(what)
			require.NoError(t, err)
			require.NotContains(t, string(data), "SECRET", who)
			if who != "services" && who != "health" && who != "stand-in" {
				require.Contains(t, string(data), "[KEY]", "%s was told what there was to tell", who)
			}
		}
		for _, o := range x.semantic.asked {
			require.NotContains(t, fmt.Sprintf("%+v", *o.Trace), "SECRET")
		}
	})
}

func TestSensitiveIdentitiesStayTheSameUnderAnotherName(t *testing.T) {
	t.Parallel()
	x := newPlant(t)
	name := func(user string) string {
		s := Span{User: user}
		x.pseudonymise(&s)
		return s.User
	}
	require.Equal(t, "u-17", name("u-17"))
	alias := name(secret)
	require.Equal(t, alias, name(secret))
	require.True(t, strings.HasPrefix(alias, string(SensitiveKey)+"-"))
	require.NotEqual(t, alias, name(secret+"x"))
	require.Empty(t, name(""))
	require.Equal(t, "u-17", name("u-17"))
	require.Equal(t, alias, name(secret), "also after others came in between")
	s := Span{User: "u-17", Tenant: secret, Name: "u-17", Service: secret}
	x.pseudonymise(&s)
	require.Equal(t, Span{User: "u-17", Tenant: alias, Name: "u-17", Service: x.nameOf(secret)}, s, "what stands for one field says nothing of another")
}
