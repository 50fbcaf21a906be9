package trajectory

import (
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Config says from when on repetition is a loop.
type Config struct {
	MinRuns   int           `yaml:"min_runs"`   // runs that call tools, which an agent's baseline needs before it speaks
	MinCalls  int           `yaml:"min_calls"`  // least calls of one tool in one run
	MinRatio  float64       `yaml:"min_ratio"`  // least factor over what is usual
	MaxAgents int           `yaml:"max_agents"` // baselines kept
	HalfLife  time.Duration `yaml:"half_life"`  // event time after which what was learnt weighs half
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{MinRuns: 20, MinCalls: 5, MinRatio: 2, MaxAgents: 1_000, HalfLife: 72 * time.Hour}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	if c.MinRuns < 2 || c.MinCalls < 2 || c.MaxAgents < 1 || !(c.MinRatio >= 1) || c.HalfLife <= 0 {
		return fmt.Errorf("trajectory: min_runs and min_calls must be at least 2, max_agents and min_ratio at least 1, half_life positive: %+v", c)
	}
	return nil
}

// Loops implements engine.Detector for runs that repeat themselves. Two counts of a run are compared with the agent's earlier
// runs: the calls of one tool with nearly the same arguments, and the calls of one tool with whatever arguments.
type Loops struct {
	cfg    Config
	mu     sync.Mutex
	agents *simplelru.LRU[agentKey, *habits]
}

type agentKey struct{ Service, Agent string }

// habits is what an agent's runs have been like.
type habits struct {
	Same *statistical.Quantity // most calls of one tool with like arguments in a run
	Tool *statistical.Quantity // most calls of one tool in a run
}

func newHabits(cfg Config) *habits {
	q := statistical.QuantityConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinRuns}
	return &habits{Same: statistical.NewQuantity(q), Tool: statistical.NewQuantity(q)}
}

// New returns a detector that has seen nothing.
func New(cfg Config) (*Loops, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	agents, err := simplelru.NewLRU[agentKey, *habits](cfg.MaxAgents, nil)
	if err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	return &Loops{cfg: cfg, agents: agents}, nil
}

// Name implements engine.Detector.
func (l *Loops) Name() string { return "loops" }

// run is what one agent did in one trace.
type run struct {
	agent    engine.Agent
	series   engine.SeriesKey
	tool     string // the one called most
	calls    int
	sameTool string
	same     int // most calls with like arguments
	spans    []engine.SpanID
}

// maxSpans bounds the spans that a finding names.
const maxSpans = 64

// runs counts tool calls an agent. A call whose span names no agent belongs to the agent of the trace's lead.
func runs(t *engine.Trace) map[agentKey]*run {
	lead := leadAgent(t)
	type call struct {
		agent      agentKey
		tool, args string
	}
	out := make(map[agentKey]*run)
	byTool := make(map[call][]engine.SpanID)
	same := make(map[call]int)
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Tool.Name == "" || s.Operation != engine.OpExecuteTool {
			continue
		}
		agent := s.Agent
		if agent.Name == "" {
			agent = lead
		}
		k := agentKey{s.Service, agent.Name}
		r, ok := out[k]
		if !ok {
			r = &run{agent: agent, series: s.Series()}
			r.series.Tool, r.series.Agent, r.series.Operation = "", agent.Name, engine.OpInvokeAgent
			out[k] = r
		}
		if agent.Version == "" && agent.Name == lead.Name {
			r.agent.Version = lead.Version
		}
		c := call{agent: k, tool: s.Tool.Name}
		if byTool[c] = append(byTool[c], s.SpanID); len(byTool[c]) > r.calls {
			r.calls, r.tool = len(byTool[c]), c.tool
			r.spans = byTool[c][:min(len(byTool[c]), maxSpans)]
		}
		c.args = shape(s.Tool.Arguments)
		if same[c]++; same[c] > r.same {
			r.same, r.sameTool = same[c], c.tool
		}
	}
	return out
}

func leadAgent(t *engine.Trace) engine.Agent {
	if a := t.Lead().Agent; a.Name != "" {
		return a
	}
	for i := range t.Spans {
		if t.Spans[i].Agent.Name != "" {
			return t.Spans[i].Agent
		}
	}
	return engine.Agent{}
}

// shape folds arguments that differ in digits, case and spaces alone: a loop often counts something up.
func shape(args string) string {
	const most = 512
	var b strings.Builder
	digit := false
	for _, r := range args[:min(len(args), most)] {
		switch {
		case r >= '0' && r <= '9':
			if !digit {
				b.WriteByte('#')
			}
			digit = true
			continue
		case r == ' ' || r == '\n' || r == '\t':
		case r >= 'A' && r <= 'Z':
			b.WriteRune(r + 'a' - 'A')
		default:
			b.WriteRune(r)
		}
		digit = false
	}
	return b.String()
}

// Score implements engine.Detector. It returns one finding for the run that is furthest from its agent's habits.
func (l *Loops) Score(_ context.Context, o engine.Observation) ([]engine.Finding, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var worst *engine.Finding
	for k, r := range runs(o.Trace) {
		f := l.judge(k, r)
		f.TraceID, f.At = o.Trace.ID, o.Trace.End()
		if worst == nil || rank(f) < rank(*worst) || rank(f) == rank(*worst) && f.Subject.Value < worst.Subject.Value {
			worst = &f
		}
	}
	if worst == nil {
		return nil, nil
	}
	return []engine.Finding{*worst}, nil
}

// rank orders findings: known before learning, then by p-value.
func rank(f engine.Finding) float64 {
	switch {
	case f.Learning:
		return 3
	case !f.Material:
		return 1 + f.P
	}
	return f.P
}

func (l *Loops) judge(k agentKey, r *run) engine.Finding {
	f := engine.Finding{
		Type: engine.AgentTrajectory, Detector: l.Name(), Series: r.series, P: 1,
		Subject: engine.Subject{Kind: engine.SubjectAgent, Value: cmp.Or(k.Agent, k.Service)},
	}
	h, ok := l.agents.Peek(k)
	if !ok || h.Same.Learning() {
		f.Learning = true
		return f
	}
	// Two looks at the same run.
	same, tool := h.Same.UpperP(float64(r.same)), h.Tool.UpperP(float64(r.calls))
	f.P = min(1, 2*min(same, tool))
	if same <= tool {
		f.Effect = engine.Effect{Baseline: h.Same.Median(), Current: float64(r.same), Unit: "calls"}
		f.Reason = fmt.Sprintf("%s was called %d times with like arguments in one run of %s, normally %.0f", r.sameTool, r.same, f.Subject.Value, f.Effect.Baseline)
	} else {
		f.Effect = engine.Effect{Baseline: h.Tool.Median(), Current: float64(r.calls), Unit: "calls"}
		f.Reason = fmt.Sprintf("%s was called %d times in one run of %s, normally %.0f", r.tool, r.calls, f.Subject.Value, f.Effect.Baseline)
	}
	f.Material = f.Effect.Current >= float64(l.cfg.MinCalls) && f.Effect.Ratio() >= l.cfg.MinRatio
	if f.Material {
		f.Spans, f.SpanID = r.spans, r.spans[len(r.spans)-1]
	}
	return f
}

// Learn implements engine.Detector.
func (l *Loops) Learn(_ context.Context, o engine.Observation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, r := range runs(o.Trace) {
		h, ok := l.agents.Get(k)
		if !ok {
			h = newHabits(l.cfg)
			l.agents.Add(k, h)
		}
		at := o.Trace.End()
		h.Same.Add(at, float64(r.same))
		h.Tool.Add(at, float64(r.calls))
	}
	return nil
}

// state is one agent in a snapshot. What was learnt is in binary form, to be read into habits made with the configuration of today.
type state struct {
	Key        agentKey
	Same, Tool []byte
}

// Snapshot implements engine.Snapshotter.
func (l *Loops) Snapshot(w io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]state, 0, l.agents.Len()) // least recently used first
	for _, k := range l.agents.Keys() {
		h, _ := l.agents.Peek(k)
		same, err := h.Same.MarshalBinary()
		if err != nil {
			return fmt.Errorf("trajectory: snapshot %s: %w", k.Agent, err)
		}
		tool, err := h.Tool.MarshalBinary()
		if err != nil {
			return fmt.Errorf("trajectory: snapshot %s: %w", k.Agent, err)
		}
		out = append(out, state{k, same, tool})
	}
	if err := gob.NewEncoder(w).Encode(out); err != nil {
		return fmt.Errorf("trajectory: snapshot: %w", err)
	}
	return nil
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (l *Loops) Restore(r io.Reader) error {
	var in []state
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("trajectory: restore: %w", err)
	}
	restored := make([]*habits, len(in))
	for i, x := range in {
		h := newHabits(l.cfg)
		if err := errors.Join(h.Same.UnmarshalBinary(x.Same), h.Tool.UnmarshalBinary(x.Tool)); err != nil {
			return fmt.Errorf("trajectory: restore %s: %w", x.Key.Agent, err)
		}
		restored[i] = h
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.agents.Purge()
	for i, h := range restored {
		l.agents.Add(in[i].Key, h)
	}
	return nil
}
