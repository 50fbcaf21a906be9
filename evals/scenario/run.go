package scenario

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	retryShare     = 0.7 // of failed calls
	toolErrorShare = 0.008
	splitShare     = 0.2 // of traces that leave in two exports
	captured       = 8   // messages that instrumentation records as content of one call
)

// run is one turn while it is played, and the trace that comes out of it.
type run struct {
	*Scenario
	ses     *session
	agent   agent // with the version in force
	loops   bool
	now     time.Time
	id      pcommon.TraceID
	traces  ptrace.Traces
	spans   ptrace.SpanSlice
	logs    plog.Logs
	records plog.LogRecordSlice
}

// run plays one turn, emits its trace and returns when the answer was complete.
func (s *Scenario) run(ses *session, at time.Time) time.Time {
	t := &run{Scenario: s, ses: ses, agent: ses.agent, now: at, traces: ptrace.NewTraces(), logs: plog.NewLogs()}
	binary.BigEndian.PutUint64(t.id[:8], ses.r.Uint64())
	binary.BigEndian.PutUint64(t.id[8:], ses.r.Uint64()|1)
	rs := t.traces.ResourceSpans().AppendEmpty()
	t.describe(rs.Resource())
	scope := rs.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("assistant.runtime")
	t.spans = scope.Spans()

	if ro := s.plan.rollout; ses.service == ro.service && ses.agent.name == ro.agent.name && ro.holds(at) &&
		chance(ses.effects, ro.share) {
		t.agent, t.loops = ro.agent, chance(ses.effects, ro.loops)
	}

	var parent pcommon.SpanID
	var workflow ptrace.Span
	inWorkflow := ses.service.workflow != ""
	if inWorkflow {
		workflow = t.open(parent, "invoke_workflow", ses.service.workflow, ptrace.SpanKindInternal)
		workflow.Attributes().PutStr("gen_ai.workflow.name", ses.service.workflow)
		parent = workflow.SpanID()
	}
	root := t.open(parent, "invoke_agent", t.agent.name, ptrace.SpanKindInternal)
	root.Attributes().PutStr("gen_ai.agent.version", t.agent.version)
	root.Attributes().PutStr("gen_ai.provider.name", ses.model.provider.name)
	failure := t.answer(root.SpanID())
	t.pause(1, 6)
	t.close(root, failure)
	if inWorkflow {
		t.pause(1, 4)
		t.close(workflow, failure)
	}
	t.export()
	return t.now
}

func (t *run) describe(res pcommon.Resource) {
	a := res.Attributes()
	a.PutStr("service.name", t.ses.service.name)
	a.PutStr("service.version", t.plan.serviceVersion(t.ses.service, t.now))
	a.PutStr("deployment.environment.name", "production")
	a.PutStr("cloud.region", t.ses.region)
}

// answer is what the agent does with one message of the user. It returns the error.type that ended it, or "".
func (t *run) answer(parent pcommon.SpanID) (failure string) {
	ses, r := t.ses, t.ses.r
	w := t.write(ses)
	question := message{role: "user", text: w.prompt}
	talk := append(append([]message(nil), ses.history...), question)
	var found []document
	if !w.smallTalk && chance(r, ses.service.retrieves) {
		found = t.search(parent, w.prompt)
	}
	if !w.smallTalk && ses.purpose != attacking {
		for _, c := range t.toolCalls() {
			calling := message{role: "assistant", calls: &c, finish: "tool_calls"}
			if failure := t.ask(parent, exchange{in: talk, out: calling, passages: found}); failure != "" {
				return failure
			}
			t.execute(parent, &c)
			calling.finish = ""
			talk = append(talk, calling, message{role: "tool", answer: &c})
		}
	}
	reply := message{role: "assistant", text: t.reply(ses, w, found), finish: "stop"}
	if failure := t.ask(parent, exchange{in: talk, out: reply, passages: found, last: true}); failure != "" {
		return failure
	}
	reply.finish = ""
	ses.remember(question, reply)
	return ""
}

// search embeds the prompt and looks for documents.
func (t *run) search(parent pcommon.SpanID, prompt string) []document {
	ses, r := t.ses, t.ses.r
	p := ses.model.provider
	e := t.open(parent, "embeddings", p.embedder, ptrace.SpanKindClient)
	a := e.Attributes()
	a.PutStr("gen_ai.provider.name", p.name)
	a.PutStr("gen_ai.request.model", p.embedder)
	a.PutStr("gen_ai.response.model", p.embedder)
	a.PutStr("server.address", p.address)
	a.PutInt("gen_ai.usage.input_tokens", int64(tokens(prompt)))
	a.PutInt("gen_ai.embeddings.dimension.count", 768)
	a.PutDouble("gen_ai.usage.cost", float64(tokens(prompt))*0.02e-6)
	t.elapse(lognormal(r, 45, 0.3))
	t.close(e, "")
	t.pause(1, 5)

	var found []document
	var scores []float64
	score := between(r, 0.72, 0.93)
	if ses.purpose == wandering || ses.purpose == attacking {
		score = between(r, 0.24, 0.42) // nothing fits, so whatever is nearest comes back
		for range 3 {
			found = append(found, pick(r, pick(r, ses.service.topics).documents))
		}
	} else {
		found = sample(r, ses.topic.documents, 1+r.IntN(3))
		if chance(r, 0.4) {
			found = append(found, pick(r, pick(r, ses.service.topics).documents))
		}
	}
	for range found {
		scores = append(scores, score)
		score *= between(r, 0.82, 0.97)
	}
	source := "kb-" + ses.service.domain.name
	q := t.open(parent, "retrieval", source, ptrace.SpanKindClient)
	a = q.Attributes()
	a.PutStr("gen_ai.data_source.id", source)
	a.PutInt("gen_ai.request.top_k", 4)
	a.PutStr("gen_ai.retrieval.query.text", prompt)
	a.PutStr("gen_ai.retrieval.documents", documentsJSON(found, scores))
	t.elapse(lognormal(r, 60, 0.4))
	t.close(q, "")
	t.pause(1, 5)
	return found
}

// toolCalls decides which tools this turn uses.
func (t *run) toolCalls() []call {
	ses, r := t.ses, t.ses.r
	use := func(tl tool) call {
		return call{
			id:        "call_" + hex(r, 10),
			name:      tl.name,
			arguments: t.bank.render(r, tl.arguments, ses.topic, ses.values),
			result:    t.bank.render(r, tl.result, ses.topic, ses.values),
		}
	}
	var calls []call
	if chance(r, 0.2) {
		calls = append(calls, use(ses.service.domain.aide))
	}
	own := ses.topic.tool
	if own.name == "" {
		return calls
	}
	if chance(r, ses.service.usesTool) {
		calls = append(calls, use(own))
	}
	if t.loops {
		fx := ses.effects
		again, varies := use(own), chance(fx, 0.4)
		for i := range 8 + fx.IntN(13) {
			c := again
			c.id = again.id + strconv.Itoa(i)
			if varies && i > 0 {
				c.arguments = strings.TrimSuffix(c.arguments, "}") + `,"attempt":` + strconv.Itoa(i+1) + "}"
			}
			calls = append(calls, c)
		}
	}
	return calls
}

func (t *run) execute(parent pcommon.SpanID, c *call) {
	r := t.ses.r
	sp := t.open(parent, "execute_tool", c.name, ptrace.SpanKindInternal)
	failure := ""
	if chance(r, toolErrorShare) {
		failure = pick(r, []string{"timeout", "not_found", "permission_denied"})
		c.result = `{"error":"` + failure + `"}`
	}
	a := sp.Attributes()
	a.PutStr("gen_ai.tool.name", c.name)
	a.PutStr("gen_ai.tool.type", "function")
	a.PutStr("gen_ai.tool.call.id", c.id)
	a.PutStr("gen_ai.tool.call.arguments", c.arguments)
	a.PutStr("gen_ai.tool.call.result", c.result)
	h := fnv.New32a()
	h.Write([]byte(c.name))
	t.elapse(lognormal(r, 120+float64(h.Sum32()%500), 0.35))
	t.close(sp, failure)
	t.pause(1, 8)
}

// exchange is one request to a model and what it will answer.
type exchange struct {
	in       []message
	out      message
	passages []document
	last     bool // of the run
}

// ask calls the model and mostly tries once more after an error.
func (t *run) ask(parent pcommon.SpanID, x exchange) (failure string) {
	failure = t.chat(parent, x)
	if failure != "" && chance(t.ses.r, retryShare) {
		t.pause(300, 1500)
		failure = t.chat(parent, x)
	}
	return failure
}

func (t *run) chat(parent pcommon.SpanID, x exchange) (failure string) {
	ses, r, m := t.ses, t.ses.r, t.ses.model
	version, factor := t.plan.modelVersion(ses.service, m, t.now)
	errorRate, errorType := t.plan.failure(m.provider, t.now)
	system := ses.service.domain.system[0]

	sp := t.open(parent, "chat", m.name, ptrace.SpanKindClient)
	a := sp.Attributes()
	a.PutStr("gen_ai.provider.name", m.provider.name)
	a.PutStr("gen_ai.request.model", m.name)
	a.PutInt("gen_ai.request.max_tokens", int64(m.maxOutput))
	a.PutDouble("gen_ai.request.temperature", 0.3)
	a.PutBool("gen_ai.request.stream", true)
	a.PutStr("server.address", m.provider.address)
	content := t.content(sp)
	content.PutStr("gen_ai.system_instructions", instructionsJSON(system, x.passages))
	content.PutStr("gen_ai.input.messages", messagesJSON(t.recorded(x.in)...))

	if chance(r, errorRate) {
		if errorType == "timeout" {
			t.pause(12_000, 15_000)
		} else {
			t.elapse(lognormal(r, 350, 0.5))
		}
		t.close(sp, errorType)
		return errorType
	}

	in := ses.service.overhead + tokens(system)
	for _, d := range x.passages {
		in += tokens(d.title) + tokens(d.text)
	}
	for _, msg := range x.in {
		in += msg.tokens()
	}
	out := x.out.tokens()
	if ses.purpose == flooding {
		// The captured prompt is cut, so what counts is a normal call times the factor.
		in -= tokens(x.in[len(ses.history)].text)
		in = int(float64(in+30) * t.plan.flood.factor)
		out = min(int(float64(out)*t.plan.flood.factor), m.maxOutput)
	}
	if x.last {
		factor *= t.slowness()
	}
	first := factor * (lognormal(r, m.firstMS, 0.25) + 0.03*float64(in))
	rest := factor * float64(out) * m.tokenMS * lognormal(r, 1, 0.15)

	a.PutStr("gen_ai.response.model", version)
	a.PutStr("gen_ai.response.id", "resp-"+hex(r, 12))
	a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr(x.out.finish)
	a.PutDouble("gen_ai.response.time_to_first_chunk", first/1000)
	a.PutInt("gen_ai.usage.input_tokens", int64(in))
	a.PutInt("gen_ai.usage.output_tokens", int64(out))
	a.PutDouble("gen_ai.usage.cost", (float64(in)*m.priceIn+float64(out)*m.priceOut)/1e6)
	content.PutStr("gen_ai.output.messages", messagesJSON(x.out))
	t.elapse(first + rest)
	t.close(sp, "")
	t.pause(2, 15)
	return ""
}

// slowness is the factor on the time of the request when one of the slow ones is due, and 1 otherwise.
func (t *run) slowness() float64 {
	for i, q := range t.plan.slow {
		if !t.slowDone[i] && t.ses.service == q.service && !t.now.Before(q.at) {
			t.slowDone[i] = true
			return q.factor
		}
	}
	return 1
}

// recorded is what instrumentation keeps of a long exchange: the question and the end.
func (t *run) recorded(in []message) []message {
	if len(in) <= captured {
		return in
	}
	question := len(t.ses.history)
	tail := max(question+1, len(in)-captured+1)
	return append([]message{in[question]}, in[tail:]...)
}

// content is where the messages of a call go: its span, or a log record beside it.
func (t *run) content(sp ptrace.Span) pcommon.Map {
	if !t.ses.service.logs {
		return sp.Attributes()
	}
	if t.logs.ResourceLogs().Len() == 0 {
		rl := t.logs.ResourceLogs().AppendEmpty()
		t.describe(rl.Resource())
		scope := rl.ScopeLogs().AppendEmpty()
		scope.Scope().SetName("assistant.runtime")
		t.records = scope.LogRecords()
	}
	rec := t.records.AppendEmpty()
	rec.SetEventName("gen_ai.client.inference.operation.details")
	rec.SetTimestamp(sp.StartTimestamp())
	rec.SetTraceID(sp.TraceID())
	rec.SetSpanID(sp.SpanID())
	rec.Attributes().PutStr("gen_ai.operation.name", "chat")
	return rec.Attributes()
}

// open starts a span now, named by the conventions as operation and object.
func (t *run) open(parent pcommon.SpanID, operation, object string, kind ptrace.SpanKind) ptrace.Span {
	sp := t.spans.AppendEmpty()
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], t.ses.r.Uint64()|1)
	sp.SetTraceID(t.id)
	sp.SetSpanID(id)
	sp.SetParentSpanID(parent)
	sp.SetName(operation + " " + object)
	sp.SetKind(kind)
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(t.now))
	a := sp.Attributes()
	a.EnsureCapacity(24)
	a.PutStr("gen_ai.operation.name", operation)
	a.PutStr("gen_ai.agent.name", t.agent.name)
	a.PutStr("gen_ai.conversation.id", t.ses.conversation)
	a.PutStr("user.id", t.ses.user.id)
	a.PutStr("tenant.id", t.ses.user.tenant)
	a.PutStr("api_key.id", t.ses.user.key)
	return sp
}

// close ends a span now, with an error when failure names one.
func (t *run) close(sp ptrace.Span, failure string) {
	sp.SetEndTimestamp(pcommon.NewTimestampFromTime(t.now))
	if failure != "" {
		sp.Attributes().PutStr("error.type", failure)
		sp.Status().SetCode(ptrace.StatusCodeError)
		sp.Status().SetMessage("failed: " + failure)
	}
}

func (t *run) elapse(ms float64) { t.now = t.now.Add(max(milliseconds(ms), time.Millisecond)) }

func (t *run) pause(loMS, hiMS float64) { t.elapse(between(t.ses.r, loMS, hiMS)) }

// export emits the trace when its root has ended; some traces leave in two parts, the first when its last span has ended.
func (t *run) export() {
	r := t.ses.r
	if n := t.spans.Len(); n >= 4 && chance(r, splitShare) {
		cut := t.spans.At(n - 1 - r.IntN(n-3)).EndTimestamp()
		early := ptrace.NewTraces()
		rs := early.ResourceSpans().AppendEmpty()
		t.traces.ResourceSpans().At(0).Resource().CopyTo(rs.Resource())
		scope := rs.ScopeSpans().AppendEmpty()
		scope.Scope().SetName("assistant.runtime")
		t.spans.RemoveIf(func(sp ptrace.Span) bool {
			if sp.EndTimestamp() > cut {
				return false
			}
			sp.MoveTo(scope.Spans().AppendEmpty())
			return true
		})
		t.emit(Step{At: cut.AsTime(), Traces: early, Logs: plog.NewLogs()})
	}
	t.emit(Step{At: t.now, Traces: t.traces, Logs: t.logs})
}

// hex returns n random hexadecimal digits.
func hex(r *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	x := r.Uint64()
	for i := range b {
		b[i] = digits[x&15]
		x >>= 4
	}
	return string(b)
}
