package engine

import (
	"fmt"
	"time"
)

// Config bounds the pipeline and says when it speaks.
type Config struct {
	// QueueSpans bounds the spans that wait for screening; above it sources are told to come back.
	QueueSpans int `yaml:"queue_spans"`
	// SemanticQueue bounds the traces that wait for the semantic tier; above it sampled traces are shed and flagged ones stored.
	SemanticQueue int `yaml:"semantic_queue"`
	// AllowedLateness is how far behind the latest event time a window stays open. Event time.
	AllowedLateness time.Duration `yaml:"allowed_lateness"`
	// IdleAfter is how long, in wall time, nothing may arrive before event time is taken to go on by the wall clock.
	IdleAfter time.Duration `yaml:"idle_after"`
	// SampleRate is the share of unflagged traces that the semantic tier looks at, in [0, 1], as far as the budgets of sampling reach. A
	// service that still learns is sampled whole.
	SampleRate float64 `yaml:"sample_rate"`
	// FlagBelow is the p-value under which screening flags a trace for the semantic tier.
	FlagBelow float64 `yaml:"flag_below"`
	// ChunkWords is the length of the pieces in which a text is embedded and compared; MaxChunks bounds them for a trace.
	ChunkWords int `yaml:"chunk_words"`
	MaxChunks  int `yaml:"max_chunks"`
	// EmbedKinds are the kinds of text that are embedded.
	EmbedKinds []TextKind `yaml:"embed_kinds"`
	// HoldBack is how long a judged trace waits before semantic and workflow detectors learn from it, so that the beginning of
	// an incident is not learnt. Event time. MaxHeld bounds the traces that wait.
	HoldBack time.Duration `yaml:"hold_back"`
	MaxHeld  int           `yaml:"max_held"`
	// StoreQueue bounds the anomalies, incidents and alerts that wait while the store does not answer; above it sources are told to come
	// back, and the oldest that carries no alert is shed.
	StoreQueue int `yaml:"store_queue"`
	// SnapshotEvery is how often everything that a crash would forget is stored, in wall time: what a crash can cost of what nobody waits
	// for, such as OTLP. AcknowledgeEvery is how often while a broker waits to be told that what it delivered is stored. Snapshots take at
	// most 2 % of the time of screening: large ones come less often.
	SnapshotEvery    time.Duration `yaml:"snapshot_every"`
	AcknowledgeEvery time.Duration `yaml:"acknowledge_every"`
	// DrainTimeout bounds a graceful stop, in wall time.
	DrainTimeout time.Duration `yaml:"drain_timeout"`

	Assembly  AssemblyConfig `yaml:"assembly"`
	Alerts    AlertConfig    `yaml:"alerts"`
	Surges    SurgeConfig    `yaml:"surges"`
	Incidents IncidentConfig `yaml:"incidents"`
	Severity  SeverityConfig `yaml:"severity"`
	Evidence  EvidenceConfig `yaml:"evidence"`
	Feedback  FeedbackConfig `yaml:"feedback"`
	Sampling  SamplingConfig `yaml:"sampling"`
}

// AssemblyConfig bounds how spans are joined to traces. Times are event time.
type AssemblyConfig struct {
	QuietAfterRoot   time.Duration `yaml:"quiet_after_root"`   // a trace whose root has ended is complete after this
	QuietWithoutRoot time.Duration `yaml:"quiet_without_root"` // one whose root has not come is complete after this
	MaxSpans         int           `yaml:"max_spans"`          // of one trace; more are screened but not kept
	MaxTraces        int           `yaml:"max_traces"`         // open at once
	MaxBytes         int64         `yaml:"max_bytes"`          // of all open traces
	RememberTraces   int           `yaml:"remember_traces"`    // complete traces known by id, for late and repeated spans
}

// AlertConfig is the one setting that says how often a service may speak.
type AlertConfig struct {
	PerDay       float64 `yaml:"alerts_per_day"` // incidents a day and service on normal traffic
	InitialAlpha float64 `yaml:"initial_alpha"`
	MinAlpha     float64 `yaml:"min_alpha"`
	MaxAlpha     float64 `yaml:"max_alpha"`
	// Anomalies makes every anomaly an alert too, beside those of incidents.
	Anomalies bool `yaml:"anomalies"`
}

// IncidentConfig says when anomalies become an incident and when it ends. Times are event time.
type IncidentConfig struct {
	MinTraces     int           `yaml:"min_traces"`     // abnormal traces that one incident needs
	MinUsers      int           `yaml:"min_users"`      // different users that a new topic needs, where users are known
	GroupGap      time.Duration `yaml:"group_gap"`      // anomalies further apart do not belong together
	Settle        time.Duration `yaml:"settle"`         // how long symptoms are gathered before an incident is opened
	ResolveAfter  time.Duration `yaml:"resolve_after"`  // calm for this long resolves it
	ReraiseWithin time.Duration `yaml:"reraise_within"` // the same fingerprint within this re-opens it
	MaxActive     int           `yaml:"max_active"`     // groups kept at once
	MaxTracesKept int           `yaml:"max_traces_kept"`
}

// EvidenceConfig bounds what is remembered of traffic to explain incidents with.
type EvidenceConfig struct {
	RecentPerService int `yaml:"recent_per_service"` // digests of the latest traces
	CalmPerService   int `yaml:"calm_per_service"`   // a reservoir over calm time
	MaxServices      int `yaml:"max_services"`
	ExcerptBytes     int `yaml:"excerpt_bytes"`
	// MarkersBefore is how long before the onset a change still counts as near.
	MarkersBefore time.Duration `yaml:"markers_before"`
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{
		QueueSpans:       20_000,
		SemanticQueue:    512,
		AllowedLateness:  30 * time.Second,
		IdleAfter:        2 * time.Second,
		SampleRate:       0.5,
		FlagBelow:        0.01,
		ChunkWords:       64,
		MaxChunks:        64,
		EmbedKinds:       []TextKind{TextUserPrompt, TextDocument, TextToolResult},
		HoldBack:         30 * time.Minute,
		MaxHeld:          2_000,
		StoreQueue:       20_000,
		SnapshotEvery:    time.Minute,
		AcknowledgeEvery: 5 * time.Second,
		DrainTimeout:     20 * time.Second,
		Assembly: AssemblyConfig{
			QuietAfterRoot:   10 * time.Second,
			QuietWithoutRoot: 10 * time.Minute,
			MaxSpans:         2_000,
			MaxTraces:        20_000,
			MaxBytes:         256 << 20,
			RememberTraces:   50_000,
		},
		Alerts: AlertConfig{PerDay: 10, InitialAlpha: 1e-4, MinAlpha: 1e-9, MaxAlpha: 1e-3},
		Surges: SurgeConfig{Window: 5 * time.Minute, MinTraces: 5, MinExcess: 0.1, MaxKeys: 10_000},
		Incidents: IncidentConfig{
			MinTraces:     5,
			MinUsers:      3,
			GroupGap:      30 * time.Minute,
			Settle:        10 * time.Minute,
			ResolveAfter:  30 * time.Minute,
			ReraiseWithin: 24 * time.Hour,
			MaxActive:     1_000,
			MaxTracesKept: 512,
		},
		Severity: DefaultSeverity(),
		Evidence: EvidenceConfig{
			RecentPerService: 1_024,
			CalmPerService:   512,
			MaxServices:      256,
			ExcerptBytes:     400,
			MarkersBefore:    2 * time.Hour,
		},
		Feedback: DefaultFeedback(),
		Sampling: DefaultSampling(),
	}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	positive := []struct {
		name  string
		value float64
	}{
		{"queue_spans", float64(c.QueueSpans)},
		{"semantic_queue", float64(c.SemanticQueue)},
		{"idle_after", float64(c.IdleAfter)},
		{"flag_below", c.FlagBelow},
		{"chunk_words", float64(c.ChunkWords)},
		{"max_chunks", float64(c.MaxChunks)},
		{"max_held", float64(c.MaxHeld)},
		{"store_queue", float64(c.StoreQueue)},
		{"surges.window", float64(c.Surges.Window)},
		{"surges.min_traces", float64(c.Surges.MinTraces)},
		{"surges.max_keys", float64(c.Surges.MaxKeys)},
		{"snapshot_every", float64(c.SnapshotEvery)},
		{"acknowledge_every", float64(c.AcknowledgeEvery)},
		{"drain_timeout", float64(c.DrainTimeout)},
		{"assembly.quiet_after_root", float64(c.Assembly.QuietAfterRoot)},
		{"assembly.quiet_without_root", float64(c.Assembly.QuietWithoutRoot)},
		{"assembly.max_spans", float64(c.Assembly.MaxSpans)},
		{"assembly.max_traces", float64(c.Assembly.MaxTraces)},
		{"assembly.max_bytes", float64(c.Assembly.MaxBytes)},
		{"assembly.remember_traces", float64(c.Assembly.RememberTraces)},
		{"alerts.alerts_per_day", c.Alerts.PerDay},
		{"alerts.min_alpha", c.Alerts.MinAlpha},
		{"incidents.min_traces", float64(c.Incidents.MinTraces)},
		{"incidents.group_gap", float64(c.Incidents.GroupGap)},
		{"incidents.resolve_after", float64(c.Incidents.ResolveAfter)},
		{"incidents.max_active", float64(c.Incidents.MaxActive)},
		{"incidents.max_traces_kept", float64(c.Incidents.MaxTracesKept)},
		{"evidence.recent_per_service", float64(c.Evidence.RecentPerService)},
		{"evidence.calm_per_service", float64(c.Evidence.CalmPerService)},
		{"evidence.max_services", float64(c.Evidence.MaxServices)},
		{"evidence.excerpt_bytes", float64(c.Evidence.ExcerptBytes)},
	}
	for _, p := range positive {
		if !(p.value > 0) {
			return fmt.Errorf("engine: %s must be positive, is %v", p.name, p.value)
		}
	}
	const most = 1 << 24
	if c.QueueSpans > most || c.SemanticQueue > most || c.MaxHeld > most || c.StoreQueue > most || c.Assembly.MaxTraces > most || c.Incidents.MaxActive > most {
		return fmt.Errorf("engine: queue_spans, semantic_queue, max_held, store_queue, assembly.max_traces and incidents.max_active must be at most %d", most)
	}
	if !(c.SampleRate >= 0 && c.SampleRate <= 1) {
		return fmt.Errorf("engine: sample_rate must be in [0, 1], is %v", c.SampleRate)
	}
	if c.FlagBelow >= 1 {
		return fmt.Errorf("engine: flag_below must be below 1, is %v", c.FlagBelow)
	}
	a := c.Alerts
	if !(a.MinAlpha <= a.InitialAlpha && a.InitialAlpha <= a.MaxAlpha && a.MaxAlpha < c.FlagBelow) {
		return fmt.Errorf("engine: alerts need min_alpha <= initial_alpha <= max_alpha < flag_below, are %v, %v, %v, %v",
			a.MinAlpha, a.InitialAlpha, a.MaxAlpha, c.FlagBelow)
	}
	if c.AllowedLateness < 0 || c.HoldBack < 0 || c.Incidents.Settle < 0 || c.Incidents.ReraiseWithin < 0 || c.Evidence.MarkersBefore < 0 {
		return fmt.Errorf("engine: allowed_lateness, hold_back, incidents.settle, incidents.reraise_within and evidence.markers_before must not be negative")
	}
	if err := c.Sampling.validate(); err != nil {
		return err
	}
	if err := c.Feedback.validate(); err != nil {
		return err
	}
	return c.Severity.validate()
}
