package custom

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

const shop = `name: shop
file: rows.jsonl
task: jailbreak
fields: {text: message, label: verdict, group: session}
positive: [attack]
normal: {field: split, values: [train]}
thresholds: {auroc: 0.9, fpr: 0.1}
`

const shopRows = `{"split": "train", "message": "usual"}
{"split": "test", "message": "fine", "verdict": "ok"}
{"split": "test", "message": "fine too", "verdict": "ok", "session": 7}

{"split": "test", "message": "hm!!", "verdict": "ok"}
{"split": "test", "message": "bad!", "verdict": "attack", "session": 8}
{"split": "test", "message": "worse!!!", "verdict": "attack"}
`

func TestLabelledTextsAreJudgedByTheDetectorOfTheTask(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	r := run(t, load(t, w.parts(), shop, "rows.jsonl", shopRows), options())
	metrics := r.Suites["shop"]
	// Of the six pairs of a positive and a negative one is in the wrong order: bad! below hm!!.
	require.InDelta(t, 5.0/6, metrics["auroc"].Value, 1e-9)
	require.Equal(t, 5, metrics["auroc"].N)
	require.Contains(t, metrics["auroc"].Baselines, "length")
	require.Contains(t, metrics["auroc"].Gains, "length")
	// hm!! and worse!!! are flagged: one true, one false, one missed.
	require.InDelta(t, 0.5, metrics["f1"].Value, 1e-9)
	require.InDelta(t, 4.0/7, metrics["f1"].Baselines["always"], 1e-9)
	require.InDelta(t, 7.0/12, metrics["balanced_accuracy"].Value, 1e-9)
	require.InDelta(t, 1.0/3, metrics["fpr"].Value, 1e-9)
	require.True(t, metrics["fpr"].Lower)
	require.InDelta(t, 0.5, metrics["tpr_at_1pct_fpr"].Value, 1e-9)

	require.False(t, metrics["auroc"].Met(), "0.83 is below the threshold of 0.9")
	require.False(t, metrics["fpr"].Met(), "0.33 is above the threshold of 0.1")
	require.True(t, metrics["f1"].Met(), "nothing is required of it")

	require.Equal(t, map[string]bool{"usual": true}, w.pipelines[0].learnt)
	require.NotContains(t, w.pipelines[0].judged, "usual")
	require.Equal(t, w.opened, w.closed)
	result := r.Results[0]
	require.Equal(t, []string{"attack", "ok"}, result.Confusions[0].Rows)
	require.Equal(t, [][]int{{1, 1}, {2, 1}}, result.Confusions[0].Counts)
	require.Equal(t, []string{"engine", "length"}, []string{result.Charts[0].Curves[0].Name, result.Charts[0].Curves[1].Name})
	require.Equal(t, r.Suites, run(t, load(t, w.parts(), shop, "rows.jsonl", shopRows), options()).Suites, "repeatable to the digit")
}

func TestCSVIsReadAsJSONLIs(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	csv := "\ufeffsplit,message,verdict,session\ntrain,usual,,\ntest,fine,ok,\ntest,fine too,ok,7\ntest,hm!!,ok,\ntest,bad!,attack,8\ntest,\"worse!!!\",attack,\n"
	want := run(t, load(t, w.parts(), shop, "rows.jsonl", shopRows), options()).Suites
	for _, name := range []string{"rows.csv", "rows.csv.gz"} {
		s := load(t, w.parts(), strings.Replace(shop, "rows.jsonl", name, 1), name, csv)
		require.Equal(t, want, run(t, s, options()).Suites)
	}
	s := load(t, w.parts(), strings.Replace(shop, "rows.jsonl", "rows.jsonl.gz", 1), "rows.jsonl.gz", shopRows)
	require.Equal(t, want, run(t, s, options()).Suites)
}

func TestMalformedLinesAreNamedSkippedAndStrictlyFatal(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	bad := shopRows + "{\"message\": \n" + `{"message": " ", "verdict": "ok"}` + "\n" + `{"message": "x"}` + "\n" + `{"message": "x", "verdict": "perhaps"}` + "\n[]\n"
	yaml := shop + "negative: [ok]\n"
	r := run(t, load(t, w.parts(), yaml, "rows.jsonl", bad), options())
	require.InDelta(t, 5.0/6, r.Suites["shop"]["auroc"].Value, 1e-9)
	var got []string
	for _, s := range r.Skipped {
		got = append(got, fmt.Sprintf("%d %s", s.Line, s.Reason))
	}
	require.Equal(t, []string{
		"8 unexpected end of JSON input", "9 message: is empty", "10 verdict: is empty", `11 verdict: "perhaps" is neither positive nor negative`,
		"12 json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
	}, got)

	strict := options()
	strict.Strict = true
	_, err := evals.Run(t.Context(), []evals.Suite{load(t, w.parts(), yaml, "rows.jsonl", bad)}, strict)
	require.ErrorContains(t, err, "rows.jsonl:8")

	csv := "split,message,verdict,session\ntest,fine,ok,\ntest,too,many,cells,here\ntest,\"bad!\nagain\",attack,\ntest,,ok,\n"
	r = run(t, load(t, w.parts(), strings.Replace(shop, "rows.jsonl", "rows.csv", 1)+"baselines: {}\n", "rows.csv", csv+"train,usual,,\n"), options())
	require.Equal(t, []int{3, 6}, []int{r.Skipped[0].Line, r.Skipped[1].Line})
}

func TestDataOnWhichNothingCanBeMeasuredIsAnError(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	for want, text := range map[string]string{
		`no row to score in`:                         `{"message": "a", "verdict": "ok"}`,
		`every row to score`:                         `{"message": "a", "verdict": "attack"}`,
		`has no row to score`:                        `{"message": "a", "split": "train"}`,
		`can be used, see line 1: message: is empty`: `{"mesage": "a", "verdict": "ok"}`,
		`no row is normal`:                           `{"message": "a", "verdict": "ok"}` + "\n" + `{"message": "b", "verdict": "attack"}`,
	} {
		_, err := evals.Run(t.Context(), []evals.Suite{load(t, w.parts(), shop, "rows.jsonl", text)}, options())
		require.ErrorContains(t, err, want)
	}
	s := load(t, w.parts(), strings.Replace(shop, "rows.jsonl", "rows.csv", 1), "rows.csv", "message,split\na,b\n")
	_, err := evals.Run(t.Context(), []evals.Suite{s}, options())
	require.ErrorContains(t, err, "there is no column session: it has message, split")
	s = load(t, w.parts(), strings.Replace(shop, "rows.jsonl", "rows.csv", 1), "rows.csv", "message,split,verdict,session,verdict\na,b,c,d,e\n")
	_, err = evals.Run(t.Context(), []evals.Suite{s}, options())
	require.ErrorContains(t, err, "there are two columns verdict")
}

func TestFoldsNeverJudgeWhatTheyLearnt(t *testing.T) {
	w := &world{detector: engine.SemanticNovelty}
	var rows strings.Builder
	for i := range 40 {
		fmt.Fprintf(&rows, "{\"text\": \"question %d\", \"label\": \"ok\"}\n{\"text\": \"odd %d!!\", \"label\": \"odd\"}\n", i, i)
	}
	yaml := "name: n\nfile: rows.jsonl\ntask: semantic_novelty\npositive: odd\nnormal: {folds: 4}\n"
	yaml = strings.Replace(yaml, "positive: odd", "positive: [odd]", 1)
	r := run(t, load(t, w.parts(), yaml, "rows.jsonl", rows.String()), options())
	require.Equal(t, 1.0, r.Suites["n"]["auroc"].Value)
	require.Len(t, w.pipelines, 4)
	judged := 0
	for _, p := range w.pipelines {
		judged += len(p.judged)
		for text := range p.learnt {
			require.NotContains(t, text, "odd", "positives do not teach")
		}
		require.NotEmpty(t, p.learnt)
	}
	require.Equal(t, 80, judged)
}

func TestFrozenLearnsNothing(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	s := load(t, w.parts(), shop, "rows.jsonl", shopRows)
	m, _, err := evals.Fit(t.Context(), []evals.Suite{s}, options())
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"usual": true}, w.pipelines[0].learnt)
	opt := options()
	opt.Model = &m
	r := run(t, s, opt)
	require.Equal(t, []string{"what was learnt"}, w.restored)
	require.Empty(t, w.pipelines[1].learnt)
	require.InDelta(t, 5.0/6, r.Suites["shop"]["auroc"].Value, 1e-9)

	shipped := load(t, w.parts(), strings.Replace(shop, "normal: {field: split, values: [train]}\n", "", 1), "rows.jsonl", shopRows[strings.Index(shopRows, "\n")+1:])
	m, _, err = evals.Fit(t.Context(), []evals.Suite{shipped}, options())
	require.NoError(t, err)
	opt.Model = &m
	require.InDelta(t, 5.0/6, run(t, shipped, opt).Suites["shop"]["auroc"].Value, 1e-9)
	require.Len(t, w.restored, 1, "a suite that learns nothing has nothing to restore")
	_, err = evals.Run(t.Context(), []evals.Suite{s}, opt)
	require.ErrorContains(t, err, "fit it again")
}

func TestWhatNothingServesIsUnavailableAndAnErrorWhereItIsRequired(t *testing.T) {
	free := strings.Replace(shop, "thresholds: {auroc: 0.9, fpr: 0.1}\n", "", 1)
	for name, parts := range map[string]Parts{"nothing is built": {}, "no such detector": (&world{}).parts()} {
		t.Run(name, func(t *testing.T) {
			r := run(t, load(t, parts, free, "rows.jsonl", shopRows), options())
			require.Empty(t, r.Suites["shop"])
			require.Len(t, r.Unavailable, 5)
			require.Contains(t, r.Unavailable["shop.auroc"], "jailbreak")
			require.Equal(t, "length", r.Results[0].Tables[0].Rows[0][0], "what has to be beaten is shown all the same")
			_, err := evals.Run(t.Context(), []evals.Suite{load(t, parts, shop, "rows.jsonl", shopRows)}, options())
			require.ErrorContains(t, err, "auroc has a threshold of 0.9 and cannot be measured")
			require.NotErrorIs(t, err, evals.ErrUnavailable)
		})
	}
}

func TestTheReaderIsToldWhenTheDetectorSaysLittle(t *testing.T) {
	w := &world{detector: engine.Jailbreak, learning: true}
	silent := strings.Replace(shopRows, "fine too", "silence", 1)
	r := run(t, load(t, w.parts(), shop, "rows.jsonl", silent), options())
	notes := strings.Join(r.Results[0].Notes, "\n")
	require.Contains(t, notes, "had not learnt enough to weigh 4 of 5 rows")
	require.Contains(t, notes, "said nothing of 1 of 5 rows")
	require.InDelta(t, 5.0/6, r.Suites["shop"]["auroc"].Value, 1e-9, "raw scores still order the rows")
	require.Zero(t, r.Suites["shop"]["fpr"].Value, "what learns flags nothing")
}

func TestAnInterruptedRunGoesOnWhereItWas(t *testing.T) {
	w := &world{detector: engine.Jailbreak}
	opt := options()
	opt.Steps = t.TempDir()
	s := load(t, w.parts(), shop, "rows.jsonl", shopRows)
	first := run(t, s, opt)
	require.Equal(t, first.Suites, run(t, s, opt).Suites)
	require.Equal(t, 1, w.opened, "the second run asked no pipeline")
}

func TestRowsBecomeTracesAsAnApplicationSendsThem(t *testing.T) {
	text := definition{Name: "n", Task: string(engine.PromptInjection)}
	for kind, where := range map[string]func(engine.Span) string{
		kindUser:     func(s engine.Span) string { return s.Input[0].Text() },
		kindDocument: func(s engine.Span) string { return s.Retrieval.Documents[0].Text },
		kindTool:     func(s engine.Span) string { return s.Tool.Result },
	} {
		trace := text.trace(row{Line: 1, Text: "hello", Kind: kind}, evals.JudgedAt)
		require.Len(t, trace.Spans, 1)
		require.Equal(t, "hello", where(trace.Spans[0]))
	}
	grounded := definition{Name: "n", Task: string(engine.UngroundedResponse)}
	trace := grounded.trace(row{Line: 1, Context: "c", Question: "q", Response: "r"}, evals.JudgedAt)
	require.Len(t, trace.Spans, 3)
	require.Equal(t, engine.OpInvokeAgent, trace.Lead().Operation)
	require.Equal(t, "q r", said(engine.Trace{Spans: trace.Spans[2:]}))
	require.Equal(t, "c", trace.Spans[1].Retrieval.Documents[0].Text)
	a, b := text.trace(row{Line: 1, Text: "x"}, evals.JudgedAt), text.trace(row{Line: 2, Text: "x"}, evals.JudgedAt)
	require.NotEqual(t, a.ID, b.ID)
}

func TestUngroundedResponsesAndBaselinesOfTheUser(t *testing.T) {
	w := &world{detector: engine.UngroundedResponse}
	yaml := "name: g\nfile: rows.jsonl\ntask: ungrounded_response\nfields: {label: ok, question: asked}\npositive: [false]\nbaselines: {our_filter: filter}\n"
	rows := `{"context": "The sky is blue.", "asked": "?", "response": "blue", "ok": true, "filter": 0.1}
{"context": "The sky is blue.", "response": "It is green!", "ok": false, "filter": 0.05}
`
	r := run(t, load(t, w.parts(), yaml, "rows.jsonl", rows), options())
	auroc := r.Suites["g"]["auroc"]
	require.Equal(t, 1.0, auroc.Value)
	require.Equal(t, map[string]float64{"length": 1, "novel_words": 1, "our_filter": 0}, auroc.Baselines)
}

func TestSeriesAreScoredOnePassEachByADetectorOfItsOwn(t *testing.T) {
	w := &world{}
	var rows strings.Builder
	rows.WriteString("timestamp,value,sensor,label\n")
	for i := range 400 {
		for _, sensor := range []string{"a", "b"} {
			value, label := 10+i%2, 0
			if sensor == "b" && (i == 10 || i == 300) {
				value, label = 60, 1
			}
			fmt.Fprintf(&rows, "2025-01-02 %02d:%02d:00,%d,%s,%d\n", i/60, i%60, value, sensor, label)
		}
	}
	yaml := "name: s\nfile: rows.csv\ntask: series\nfields: {series: sensor}\npositive: [1]\nthresholds: {auroc: 0.9}\n"
	r := run(t, load(t, w.parts(), yaml, "rows.csv", rows.String()), options())
	m := r.Suites["s"]["auroc"]
	require.Equal(t, 2*340, m.N, "the first 60 points of each series do not count")
	require.InDelta(t, 1, m.Value, 1e-3)
	require.Contains(t, m.Baselines, "windowed_z_score")
	require.Len(t, r.Suites["s"], 2)
	require.Empty(t, r.Results[0].Confusions)

	r, err := evals.Run(t.Context(), []evals.Suite{load(t, Parts{}, strings.Replace(yaml, "thresholds: {auroc: 0.9}\n", "", 1), "rows.csv", rows.String())}, options())
	require.NoError(t, err)
	require.Equal(t, "nothing scores series", r.Unavailable["s.auroc"])
	broken := Parts{Series: func() (Detector, error) { return nil, errors.New("out of order") }}
	_, err = evals.Run(t.Context(), []evals.Suite{load(t, broken, yaml, "rows.csv", rows.String())}, options())
	require.ErrorContains(t, err, "out of order")
}
