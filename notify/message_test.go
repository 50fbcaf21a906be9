package notify

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const schemas = "../docs/schemas"

func schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	files, err := filepath.Glob(filepath.Join(schemas, "incident*.schema.json"))
	require.NoError(t, err)
	for _, file := range append(files, filepath.Join(schemas, "anomaly-events.schema.json")) {
		f, err := os.Open(file)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, c.AddResource(doc.(map[string]any)["$id"].(string), doc))
	}
	s, err := c.Compile("https://github.com/llm-sentinel/llm-sentinel/blob/main/docs/schemas/" + name + ".schema.json")
	require.NoError(t, err)
	return s
}

func validate(t testing.TB, s *jsonschema.Schema, m Message) error {
	t.Helper()
	text, err := json.Marshal(m)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	return s.Validate(doc)
}

// hostile is an alert with everything in it, all of it far too long, not UTF-8, or no number.
func hostile() engine.Alert {
	a := Sample(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	long := strings.Repeat("\x01\xff<", 10_000)
	in := &a.Incident
	in.Title, in.Fingerprint = long, long
	in.Score, in.Effect = math.Inf(1), engine.Effect{Baseline: math.NaN(), Current: math.Inf(-1), Unit: long}
	in.Users = -3
	for range 100 {
		in.Services = append(in.Services, long)
		in.Traces = append(in.Traces, engine.TraceID{1})
		x := in.Explanation
		x.Citations = append(x.Citations, engine.Citation{ID: long, Text: long, TraceID: long, SpanID: long})
		x.Recommendations = append(x.Recommendations, engine.Recommendation{Text: long})
	}
	in.Explanation.Summary = long
	in.Explanation.Hypotheses[0] = engine.Hypothesis{Cause: engine.Subject{Kind: engine.SubjectModel, Value: long}, Statement: long, Confidence: math.NaN()}
	return a
}

func TestMessagesFollowTheirSchema(t *testing.T) {
	bare := engine.Alert{ID: "inc-1-1-raised", Change: engine.ChangeRaised, Incident: engine.Incident{
		ID: "inc-1", Type: engine.ErrorRate, Severity: engine.SeverityLow, Status: engine.StatusOpen,
	}}
	for name, test := range map[string]struct {
		alert engine.Alert
		fits  []string
		not   []string
	}{
		"sample":   {Sample(time.Now()), []string{"incident.alerts", "anomaly-events", "incidents.high-priority"}, []string{"incidents.normal"}},
		"critical": {alert("i1", engine.ChangeResolved, severity(engine.SeverityCritical)), []string{"incidents.high-priority"}, []string{"incidents.normal"}},
		"bare":     {bare, []string{"incident.alerts", "anomaly-events", "incidents.normal"}, []string{"incidents.high-priority"}},
		"hostile":  {hostile(), []string{"incident.alerts", "anomaly-events"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range test.fits {
				require.NoError(t, validate(t, schema(t, s), MessageOf(test.alert)), s)
			}
			for _, s := range test.not {
				require.Error(t, validate(t, schema(t, s), MessageOf(test.alert)), s)
			}
		})
	}
}

// Whatever is published is described: a field that is added to the message has to be added to the schema.
func TestSchemaKnowsEveryField(t *testing.T) {
	m := MessageOf(Sample(time.Now()))
	m.EvidenceLeftOut = 1
	m.Evidence[0].TraceID, m.Evidence[0].SpanID = "t", "s"
	text, err := json.Marshal(m)
	require.NoError(t, err)
	var published map[string]any
	require.NoError(t, json.Unmarshal(text, &published))
	file, err := os.ReadFile(filepath.Join(schemas, "incident.alerts.schema.json"))
	require.NoError(t, err)
	var described map[string]any
	require.NoError(t, json.Unmarshal(file, &described))
	var compare func(path string, value any, schema map[string]any)
	compare = func(path string, value any, schema map[string]any) {
		switch value := value.(type) {
		case map[string]any:
			properties, _ := schema["properties"].(map[string]any)
			for key, v := range value {
				require.Contains(t, properties, key, path)
				compare(path+"."+key, v, properties[key].(map[string]any))
			}
		case []any:
			for _, v := range value {
				compare(path+"[]", v, schema["items"].(map[string]any))
			}
		}
	}
	compare("", published, described)
}

func TestMessageStaysBounded(t *testing.T) {
	a := hostile()
	m := MessageOf(a)
	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.Less(t, len(text), MaxMessageBytes)
	require.Len(t, m.Evidence, maxEvidence)
	require.Equal(t, len(a.Incident.Explanation.Citations)-maxEvidence, m.EvidenceLeftOut)
	require.True(t, strings.HasSuffix(m.Evidence[5].Text, cutMarker), "what is cut says so")
}

func TestAlertIDIsAStableUUID(t *testing.T) {
	id := AlertID("inc-0123456789ab-1-raised")
	require.Equal(t, id, AlertID("inc-0123456789ab-1-raised"))
	require.NotEqual(t, id, AlertID("inc-0123456789ab-2-raised"))
	require.Equal(t, "11ca3fe7-3fc1-5c74-afdb-3123a30f0148", id, "it must not change from one release to the next")
	require.Equal(t, uuid.Version(5), uuid.MustParse(id).Version())
}

func TestMessageSaysWhatTheIncidentSays(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.FixedZone("CET", 3600))
	a := Sample(at)
	m := MessageOf(a)
	require.Equal(t, time.UTC, m.Timestamp.Location())
	require.Equal(t, Metrics{Baseline: 1.2, Current: 4.5, Deviation: 3.75, Unit: "s"}, m.Metrics)
	require.Equal(t, Context{TimeWindow: "5m", AffectedUsers: 3, ModelVersion: "test-model-2"}, m.Context)
	require.Equal(t, []string{"Nothing has to be done."}, m.Recommendations)
	require.Equal(t, "model_version", m.Cause.Kind)

	t.Run("before there is a note, evidence is what was found", func(t *testing.T) {
		a := Sample(at)
		a.Incident.Explanation = nil
		a.Incident.Evidence = &engine.Evidence{
			From: at.Add(-90 * time.Minute), To: at,
			Changes: []engine.Change{{What: "latency p50", Series: "checkout chat", Effect: engine.Effect{Baseline: 1.2, Current: 4.5, Unit: "s"}, TraceID: "t"}},
			Slices:  []engine.Slice{{Subject: engine.Subject{Kind: engine.SubjectModelVersion, Value: "m-2"}, AbnormalShare: 0.9}},
			Markers: []engine.ChangeMarker{{At: at, Kind: engine.MarkerModelVersion, Service: "checkout", Subject: "m", Version: "m-2"}},
		}
		m := MessageOf(a)
		require.Equal(t, []Evidence{
			{ID: "E1", Text: "latency p50 of checkout chat went from 1.2 to 4.5 s", TraceID: "t"},
			{ID: "E2", Text: "model version of checkout m m-2 at 2026-03-02T08:00:00Z"},
		}, m.Evidence)
		require.Equal(t, "m-2", m.Context.ModelVersion)
		require.Equal(t, "1h30m", m.Context.TimeWindow)
		require.Nil(t, m.Cause)
	})
	t.Run("the latest model version is that of the latest marker", func(t *testing.T) {
		a := Sample(at)
		a.Incident.Explanation = nil
		a.Incident.Evidence = &engine.Evidence{Markers: []engine.ChangeMarker{
			{Kind: engine.MarkerModelVersion, Version: "1"}, {Kind: engine.MarkerModelVersion, Version: "2"}, {Kind: engine.MarkerDeployment, Version: "9"},
		}}
		require.Equal(t, "2", MessageOf(a).Context.ModelVersion)
	})
}

func TestSecretsAreNotShown(t *testing.T) {
	text, err := json.Marshal(map[string]any{"s": engine.Secret("hush"), "none": engine.Secret("")})
	require.NoError(t, err)
	require.JSONEq(t, `{"s":"***","none":""}`, string(text))
	require.Equal(t, "hush", engine.Secret("hush").Reveal())
}
