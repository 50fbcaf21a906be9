package explain

import (
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// recommend says what to do about the first cause, where to look, and what helped the last time.
func (d *draft) recommend() []claim {
	c := d.causes[0]
	out := d.remedy(c, d.groundsOf(c))
	if id := d.exampleFact(); id != "" {
		fact, _ := d.facts.get(id)
		out = append(out, sentence("Check it on trace "+code(fact.TraceID), id))
	}
	for i, id := range d.facts.similar {
		if p := d.ev.Similar[i]; p.Resolution != "" {
			out = append(out, sentence("Try what resolved past incident "+code(p.ID)+": "+excerpt(p.Resolution), id))
			break
		}
	}
	return out
}

// exampleFact is a fact that names an abnormal trace.
func (d *draft) exampleFact() string {
	for _, id := range slices.Concat([]string{d.facts.abnormal}, d.facts.changes, []string{d.facts.incident}) {
		if f, ok := d.facts.get(id); ok && f.TraceID != "" {
			return id
		}
	}
	return ""
}

func (d *draft) remedy(c cause, grounds []string) []claim {
	v := code(c.Value)
	var previous string
	if c.marker >= 0 && d.ev.Markers[c.marker].Previous != "" {
		previous = " to " + code(d.ev.Markers[c.marker].Previous)
	}
	do := func(texts ...string) []claim {
		var out []claim
		for _, t := range texts {
			out = append(out, sentence(t, grounds...))
		}
		return out
	}
	if c.vague {
		return do("Compare an abnormal trace of "+v+" with a calm one before changing anything",
			"Look for a change that no marker tells of: infrastructure, data, configuration")
	}
	switch c.Kind {
	case engine.SubjectModelVersion:
		return do("Roll model version "+v+" back"+previous+", or pin the version that served before",
			"Run the offline evaluation on "+v+" before it serves again")
	case engine.SubjectModel:
		return do("Route requests for model "+v+" to another model", "Ask its provider about the state of "+v)
	case engine.SubjectProvider:
		return do("Fail over from provider "+v+" to another one", "Check the status page of "+v+", and slow down retries against it")
	case engine.SubjectServiceVersion:
		return do("Roll service version "+v+" back"+previous, "Review what "+v+" changed in prompts, models and tools")
	case engine.SubjectAgentVersion:
		return do("Pin the agent version that ran before "+v+previous, "Put a limit on the steps and tool calls of a run of "+v)
	case engine.SubjectAgent:
		return do("Put a limit on the steps and tool calls of agent "+v, "Read one run of "+v+" from start to end")
	case engine.SubjectPromptVersion:
		return do("Roll prompt version "+v+" back"+previous, "Run the offline evaluation on "+v+" before it serves again")
	case engine.SubjectTool:
		return do("Disable tool "+v+" or put a time limit on it", "Check the system behind "+v)
	case engine.SubjectRegion:
		return do("Send traffic away from region "+v, "Check network and capacity of "+v)
	case engine.SubjectUser:
		if isAttack(d.in.Type) {
			return do("Block user "+v+" and review their sessions", "Check whether the guard in front should have refused these requests")
		}
		return do("Throttle user "+v+" by a quota", "Ask the owner of "+v+" whether this use is intended; rotate their keys if it is not")
	case engine.SubjectAPIKey:
		if isAttack(d.in.Type) {
			return do("Revoke API key "+v+" and tell its owner", "Review what the requests of "+v+" obtained")
		}
		return do("Throttle API key " + v + ", and rotate it if its owner does not know of this use")
	case engine.SubjectSession:
		return do("End session "+v+" and review what its requests obtained", "Check whether the guard in front should have refused these requests")
	case engine.SubjectSource:
		return do("Block address "+v, "Look for accounts that it reached, and end their sessions")
	case engine.SubjectSignature:
		return do("Block what matches "+v+" at the guard", "Look for what its senders share; do not revoke their keys one by one")
	case engine.SubjectTenant:
		return do("Apply a rate limit to tenant "+v, "Ask tenant "+v+" what changed on their side")
	case engine.SubjectTopic:
		return do("Decide whether this topic belongs to the scope of "+v+": add it to the knowledge base, or have it declined",
			"Read the abnormal example beside the nearest normal one, and tell who owns "+v)
	case engine.SubjectService:
		if c.marker >= 0 {
			return do("Revert the last configuration change of "+v, "Check the dependencies of "+v)
		}
		return do("Check load, dependencies and the last unannounced changes of " + v)
	}
	return do("Look at " + words(c.Kind) + " " + v + " first")
}

func isAttack(t engine.AnomalyType) bool {
	switch t {
	case engine.SecurityPattern, engine.PromptInjection, engine.Jailbreak, engine.PolicyViolation, engine.PIIExposure:
		return true
	}
	return false
}
