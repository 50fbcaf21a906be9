package custom

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestErrorsNameFileLineAndField(t *testing.T) {
	const good = "name: mine\nfile: rows.jsonl\ntask: jailbreak\npositive: [attack]\n"
	for name, test := range map[string]struct{ yaml, want string }{
		"empty":                 {"", "suite.yaml: want one YAML document"},
		"two documents":         {good + "---\n" + good, "suite.yaml: want one YAML document"},
		"no YAML":               {"name: [", "suite.yaml:1: sequence end token"},
		"a list":                {"- a", "suite.yaml:1: sequence was used where mapping is expected"},
		"unknown field":         {good + "metric: auroc\n", `suite.yaml:5: metric: unknown field "metric"`},
		"unknown mapping":       {good + "fields:\n  txt: a\n", `suite.yaml:6: fields.txt: unknown field "txt"`},
		"twice":                 {good + "name: b\n", "suite.yaml:5: mapping key \"name\" already defined"},
		"a list for a text":     {"name: [a]\n", "suite.yaml:1: name: want a text"},
		"a text for a number":   {good + "thresholds:\n  auroc: high\n", "suite.yaml:6: thresholds.auroc: want a number"},
		"a text for folds":      {good + "normal:\n  folds: x\n", "suite.yaml:6: normal.folds: want a whole number"},
		"a text for a list":     {"positive: a\n", "suite.yaml:1: positive: string was used where sequence is expected"},
		"a tag":                 {"positive: !x a\n", "suite.yaml:1: the tag !x is not known here"},
		"no name":               {"file: rows.jsonl\n", "suite.yaml: name: \"\" is no name"},
		"bad name":              {"name: My Suite\n", `suite.yaml:1: name: "My Suite" is no name`},
		"a path for a name":     {"name: ../up\n", `suite.yaml:1: name: "../up" is no name`},
		"no file":               {"name: a\n", "suite.yaml: file: is missing"},
		"absent file":           {"name: a\nfile: b.jsonl\n", "suite.yaml:2: file: there is no"},
		"a folder":              {"name: a\nfile: .\n", "suite.yaml:2: file: "},
		"a device":              {"name: a\nfile: /dev/zero\n", "suite.yaml:2: file: /dev/zero is no file"},
		"a long name":           {"name: " + strings.Repeat("a", 65) + "\n", "suite.yaml:1: name: "},
		"unknown format":        {good + "format: xml\n", `suite.yaml:5: format: "xml" is unknown`},
		"format not in a name":  {"name: a\nfile: rows\n", `suite.yaml: format: "" is unknown`},
		"unknown task":          {"name: a\nfile: rows.jsonl\ntask: spam\n", `suite.yaml:3: task: "spam" is unknown: want one of jailbreak,`},
		"field of another task": {good + "fields:\n  value: v\n", "suite.yaml:6: fields.value: the task jailbreak does not read it"},
		"no positive":           {"name: a\nfile: rows.jsonl\ntask: jailbreak\n", "suite.yaml: positive: is missing"},
		"positive and negative": {good + "negative: [ok, attack]\n", `suite.yaml:5: negative: "attack" is positive too`},
		"unknown metric":        {good + "thresholds:\n  auc: 0.9\n", "suite.yaml:6: thresholds.auc: the task jailbreak has no such metric: it has auroc,"},
		"impossible threshold":  {good + "thresholds: {auroc: 90}\n", "suite.yaml:5: thresholds.auroc: 90 is not within 0 and 1"},
		"no threshold":          {good + "thresholds: {auroc: .nan}\n", "suite.yaml:5: thresholds.auroc: NaN is not within 0 and 1"},
		"normal says nothing":   {good + "normal: {}\n", "suite.yaml:5: normal: want folds, or field and values"},
		"normal says both":      {good + "normal: {folds: 2, field: a, values: [b]}\n", "suite.yaml:5: normal: want either"},
		"one fold":              {good + "normal: {folds: 1}\n", "suite.yaml:5: normal.folds: 1 is not within 2 and 20"},
		"normal of a series":    {"name: a\nfile: rows.jsonl\ntask: series\npositive: [1]\nnormal: {folds: 2}\n", "suite.yaml:5: normal: the task series learns"},
		"baseline of nothing":   {good + "baselines: {a: \"\"}\n", "suite.yaml:5: baselines.a: which field"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"suite.yaml": test.yaml, "rows.jsonl": "", "rows": ""})
			_, err := Load(filepath.Join(dir, "suite.yaml"), Parts{})
			require.Error(t, err)
			require.Contains(t, strings.ReplaceAll(err.Error(), dir+"/", ""), test.want)
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), Parts{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWhatADefinitionLeavesOut(t *testing.T) {
	s := load(t, Parts{}, "name: a-1\nfile: rows.csv.gz\ntask: prompt_injection\npositive: [1, true, yes]\n", "rows.csv.gz", "")
	d := s.definition
	require.Equal(t, "a-1", s.Name())
	require.Equal(t, formatCSV, d.Format)
	require.Equal(t, []string{"1", "true", "yes"}, d.Positive)
	require.Equal(t, fields{Text: "text", Label: "label"}, d.Fields, "what is read is called by its own name, what is optional is not read")
	r, err := d.row(1, record{"text": "a", "label": "true"})
	require.NoError(t, err)
	require.Equal(t, kindDocument, r.Kind, "injections are looked for in documents unless a field says otherwise")
	require.True(t, r.Positive)
}

func TestRowsNameTheFieldThatMakesNoSense(t *testing.T) {
	series := definition{Task: taskSeries, Fields: fields{Timestamp: "when", Value: "watts", Label: "odd"}, Positive: []string{"1"}}
	prompt := definition{Task: string(engine.Jailbreak), Fields: fields{Text: "text", Kind: "from", Label: "label"}, Baselines: map[string]string{"ours": "score"}}
	for want, test := range map[string]struct {
		d definition
		r record
	}{
		`when: "today" is no time`:  {series, record{"when": "today", "watts": "1", "odd": "1"}},
		`watts: "" is no number`:    {series, record{"when": "0", "odd": "1"}},
		`watts: "NaN" is no number`: {series, record{"when": "0", "watts": "NaN", "odd": "1"}},
		`odd: is empty`:             {series, record{"when": "0", "watts": "1"}},
		`from: "robot" is unknown`:  {prompt, record{"text": "a", "from": "robot", "label": "x"}},
		`score: "high" is no number`: {
			prompt, record{"text": "a", "from": "user", "label": "x", "score": "high"},
		},
	} {
		_, err := test.d.row(1, test.r)
		require.ErrorContains(t, err, want)
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{"2025-01-02T03:04:05Z", "2025-01-02T04:04:05+01:00", "2025-01-02 03:04:05", "2025-01-02T03:04:05", "1735787045"} {
		got, err := parseTime(s)
		require.NoError(t, err)
		require.True(t, want.Equal(got), s)
	}
	for _, s := range []string{"", "-1", "1e300", "NaN"} {
		_, err := parseTime(s)
		require.Error(t, err, s)
	}
}

func TestTheExampleOfTheDocsLoads(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	s, err := Load(filepath.Join("..", "..", "docs", "examples", "eval", "garden-shop.yaml"), w.parts())
	require.NoError(t, err)
	opt := options()
	opt.Strict = true
	s.definition.Thresholds = nil // they are for the engine, not for a fake
	r := run(t, s, opt)
	require.Equal(t, 40, r.Suites["garden-shop"]["auroc"].N)
	require.Less(t, math.Abs(r.Suites["garden-shop"]["auroc"].Baselines["length"]-0.5), 0.1, "length alone must not give the attacks away")
}

func FuzzDefinition(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte("name: a\nfields: {text: [b]}\nthresholds: {auroc: x}\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, yaml []byte) {
		if d, err := parse("suite.yaml", yaml); err == nil {
			require.Contains(t, tasks, d.Task)
			require.NotEmpty(t, d.Positive)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add(shopRows, "split,message,verdict\ntrain,a,b\n")
	f.Add("{\"message\": null}\n\x00", "message,message\n\"a\n")
	f.Fuzz(func(t *testing.T, jsonl, csv string) {
		d := definition{Task: string(engine.Jailbreak), Fields: fields{Text: "message", Label: "verdict"}, Positive: []string{"a"}}
		add := func(line int, r record, err error) error {
			var one row
			if err == nil {
				one, err = d.row(line, r)
			}
			if err == nil {
				require.Positive(t, one.Line)
				require.NotEmpty(t, one.Text)
				require.NotEmpty(t, one.Label)
			}
			return nil // as a run that is not strict passes over what is malformed
		}
		for i, text := range strings.Split(jsonl, "\n") {
			r, err := decodeRecord([]byte(text))
			require.NoError(t, add(i+1, r, err))
		}
		_ = d.readCSV(strings.NewReader(csv), add) // a heading may be wrong
	})
}
