package explain

import "github.com/llm-sentinel/llm-sentinel/engine"

// plausibility is how likely a kind of cause is for a type of anomaly when its slice explains the abnormal completely.
// Steady holds when nothing about it changed; changed when it appeared, or was announced by a marker, right before the onset.
type plausibility struct{ steady, changed float64 }

// likely are the kinds of cause that fit one family of anomaly types. Kinds that are absent are never blamed: an error type,
// for one, is what errors look like and not why they happen.
type likely map[string]plausibility

func constant(p float64) plausibility { return plausibility{p, p} }

// The rows differ in who can do such a thing. Within a row the order settles what the figures cannot: a provider whose only
// model fails is blamed before the model, a model before the version that has been there all along, but a version that just
// appeared before all of them; a key before its users where attacks are concerned, a user before their key for consumption.
var (
	slowness = likely{
		engine.SubjectModelVersion:   {0.50, 1.00},
		engine.SubjectServiceVersion: {0.50, 0.95},
		engine.SubjectPromptVersion:  {0.40, 0.90},
		engine.SubjectAgentVersion:   {0.40, 0.85},
		engine.SubjectProvider:       constant(0.70),
		engine.SubjectRegion:         constant(0.70),
		engine.SubjectTool:           constant(0.65),
		engine.SubjectModel:          constant(0.60),
		engine.SubjectService:        {0.45, 0.60},
		engine.SubjectAgent:          constant(0.40),
		engine.SubjectTenant:         constant(0.40),
		engine.SubjectUser:           constant(0.35),
		engine.SubjectAPIKey:         constant(0.35),
		engine.SubjectOperation:      constant(0.35),
	}
	failure = likely{
		engine.SubjectProvider:       constant(0.90),
		engine.SubjectModel:          constant(0.77),
		engine.SubjectRegion:         constant(0.75),
		engine.SubjectTool:           constant(0.75),
		engine.SubjectModelVersion:   {0.50, 0.95},
		engine.SubjectServiceVersion: {0.50, 0.95},
		engine.SubjectAgentVersion:   {0.40, 0.85},
		engine.SubjectPromptVersion:  {0.35, 0.80},
		engine.SubjectService:        {0.45, 0.60},
		engine.SubjectAPIKey:         constant(0.50),
		engine.SubjectTenant:         constant(0.45),
		engine.SubjectUser:           constant(0.45),
		engine.SubjectAgent:          constant(0.40),
		engine.SubjectOperation:      constant(0.35),
	}
	volume = likely{
		engine.SubjectTenant:         {0.90, 0.92},
		engine.SubjectAPIKey:         {0.90, 0.95},
		engine.SubjectUser:           {0.85, 0.90},
		engine.SubjectRegion:         constant(0.70),
		engine.SubjectService:        {0.55, 0.65},
		engine.SubjectAgentVersion:   {0.30, 0.70},
		engine.SubjectServiceVersion: {0.30, 0.70},
		engine.SubjectAgent:          constant(0.40),
		engine.SubjectOperation:      constant(0.35),
		engine.SubjectProvider:       constant(0.30),
	}
	consumption = likely{
		engine.SubjectUser:           constant(0.95),
		engine.SubjectAPIKey:         constant(0.85),
		engine.SubjectTenant:         constant(0.70),
		engine.SubjectAgentVersion:   {0.50, 0.85},
		engine.SubjectModelVersion:   {0.40, 0.85},
		engine.SubjectPromptVersion:  {0.40, 0.85},
		engine.SubjectServiceVersion: {0.40, 0.80},
		engine.SubjectAgent:          constant(0.50),
		engine.SubjectModel:          constant(0.50),
		engine.SubjectTool:           constant(0.45),
		engine.SubjectService:        {0.40, 0.50},
		engine.SubjectOperation:      constant(0.30),
	}
	attack = likely{
		engine.SubjectAPIKey:         constant(0.95),
		engine.SubjectSignature:      constant(0.90),
		engine.SubjectSession:        constant(0.85),
		engine.SubjectSource:         constant(0.80),
		engine.SubjectUser:           constant(0.88),
		engine.SubjectTenant:         constant(0.65),
		engine.SubjectRegion:         constant(0.40),
		engine.SubjectService:        constant(0.35),
		engine.SubjectPromptVersion:  {0.30, 0.60},
		engine.SubjectModelVersion:   {0.25, 0.60},
		engine.SubjectAgentVersion:   {0.25, 0.50},
		engine.SubjectServiceVersion: {0.25, 0.50},
	}
	subjectMatter = likely{
		engine.SubjectTopic:          constant(0.90),
		engine.SubjectUser:           constant(0.80),
		engine.SubjectAPIKey:         constant(0.80),
		engine.SubjectTenant:         constant(0.75),
		engine.SubjectPromptVersion:  {0.35, 0.75},
		engine.SubjectModelVersion:   {0.30, 0.65},
		engine.SubjectAgentVersion:   {0.30, 0.65},
		engine.SubjectServiceVersion: {0.30, 0.60},
		engine.SubjectRegion:         constant(0.35),
		engine.SubjectService:        constant(0.35),
	}
	grounding = likely{
		engine.SubjectModelVersion:   {0.50, 0.95},
		engine.SubjectPromptVersion:  {0.50, 0.90},
		engine.SubjectServiceVersion: {0.45, 0.90},
		engine.SubjectAgentVersion:   {0.45, 0.90},
		engine.SubjectTool:           constant(0.60),
		engine.SubjectModel:          constant(0.55),
		engine.SubjectTopic:          constant(0.50),
		engine.SubjectProvider:       constant(0.50),
		engine.SubjectAgent:          constant(0.50),
		engine.SubjectService:        {0.45, 0.60},
		engine.SubjectTenant:         constant(0.45),
	}
	conduct = likely{
		engine.SubjectAgentVersion:   {0.65, 1.00},
		engine.SubjectPromptVersion:  {0.45, 0.85},
		engine.SubjectModelVersion:   {0.45, 0.85},
		engine.SubjectAgent:          constant(0.60),
		engine.SubjectServiceVersion: {0.40, 0.75},
		engine.SubjectTool:           constant(0.50),
		engine.SubjectModel:          constant(0.40),
		engine.SubjectProvider:       constant(0.35),
		engine.SubjectUser:           constant(0.35),
		engine.SubjectService:        {0.30, 0.40},
		engine.SubjectTenant:         constant(0.30),
		engine.SubjectAPIKey:         constant(0.30),
	}
	regression = likely{
		engine.SubjectModelVersion:   {0.70, 1.00},
		engine.SubjectModel:          constant(0.60),
		engine.SubjectPromptVersion:  {0.40, 0.85},
		engine.SubjectProvider:       constant(0.50),
		engine.SubjectServiceVersion: {0.35, 0.75},
		engine.SubjectAgentVersion:   {0.35, 0.75},
		engine.SubjectService:        constant(0.35),
	}
	edge = likely{
		engine.SubjectRegion:         constant(0.95),
		engine.SubjectServiceVersion: {0.40, 0.85},
		engine.SubjectModelVersion:   {0.40, 0.80},
		engine.SubjectProvider:       constant(0.50),
		engine.SubjectService:        constant(0.50),
		engine.SubjectModel:          constant(0.40),
	}
	leak = likely{
		engine.SubjectPromptVersion:  {0.40, 0.85},
		engine.SubjectServiceVersion: {0.40, 0.85},
		engine.SubjectAgentVersion:   {0.40, 0.85},
		engine.SubjectModelVersion:   {0.40, 0.80},
		engine.SubjectUser:           constant(0.75),
		engine.SubjectAPIKey:         constant(0.75),
		engine.SubjectTenant:         constant(0.70),
		engine.SubjectTool:           constant(0.60),
		engine.SubjectAgent:          constant(0.50),
		engine.SubjectService:        {0.40, 0.50},
	}
)

// causesOf returns the row of an anomaly type. A type that is not known is treated as a failure, the broadest row.
func causesOf(t engine.AnomalyType) likely {
	switch t {
	case engine.LatencySpike:
		return slowness
	case engine.Traffic:
		return volume
	case engine.TokenAbuse, engine.CostOverrun:
		return consumption
	case engine.SecurityPattern, engine.PromptInjection, engine.Jailbreak:
		return attack
	case engine.SemanticNovelty, engine.TopicDrift:
		return subjectMatter
	case engine.UngroundedResponse, engine.RetrievalIrrelevant:
		return grounding
	case engine.AgentTrajectory:
		return conduct
	case engine.ModelRegression:
		return regression
	case engine.EdgeDegradation:
		return edge
	case engine.PolicyViolation, engine.PIIExposure:
		return leak
	}
	return failure
}
