package engine

import "github.com/prometheus/client_golang/prometheus"

// Reasons for which something is shed, truncated or skipped. Each is counted and named in the health report.
const (
	dropDuplicate     = "duplicate_span"   // delivered before
	dropOversizeTrace = "oversize_trace"   // screened, but not kept in its trace
	dropEarlyTrace    = "early_trace"      // judged before it was complete, to keep memory bounded
	dropLateContent   = "late_content"     // separate content whose trace was judged already
	dropOrphanContent = "orphan_content"   // separate content whose span never came
	dropBudget        = "budget_sample"    // a trace that the rate would have sampled and the budget did not
	dropSampled       = "shed_sample"      // a sampled trace, shed because the semantic queue was full
	dropFuture        = "future_time"      // event time too far ahead of the clock to move the watermark
	dropUnembedded    = "unembedded_trace" // texts that no embedder took
	dropUncompared    = "uncompared_trace" // texts that no memory compared
	dropUnlearnt      = "unlearnt_trace"   // what a pair of embedder and memory did not learn because it failed
	dropExplanation   = "shed_explanation" // an incident that keeps its earlier note because the queue of notes was full
	dropUnstored      = "unstored_finding" // the store refused it for good, or was down when the service stopped
	dropShed          = "shed_finding"     // what carries no alert, shed because the store was down for long
	dropUnread        = "unread_input"     // security events and evaluations that no detector reads
)

var dropReasons = []string{
	dropDuplicate, dropOversizeTrace, dropEarlyTrace, dropLateContent, dropOrphanContent, dropBudget, dropSampled, dropFuture,
	dropUnembedded, dropUncompared, dropUnlearnt, dropExplanation, dropUnstored, dropShed, dropUnread,
}

type metrics struct {
	anomalies *prometheus.CounterVec
	incidents *prometheus.CounterVec
	latency   prometheus.Histogram
	spans     prometheus.Counter
	traces    *prometheus.CounterVec
	compared  *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	queued    *prometheus.GaugeVec
	alpha     *prometheus.GaugeVec
	snapshot  prometheus.Gauge

	sampleRatio        prometheus.Gauge
	lessons            *prometheus.GaugeVec
	falsePositives     prometheus.Gauge
	falsePositiveBound *prometheus.GaugeVec
	performance        prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		anomalies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_anomalies_detected_total", Help: "Anomalies by severity."}, []string{"severity"}),
		incidents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_engine_incidents_total", Help: "Changes of incidents."}, []string{"event"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sentinel_detection_latency_seconds", Help: "Wall time from a trace being complete to its judgement being stored.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		spans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sentinel_engine_spans_total", Help: "Spans screened."}),
		traces: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_engine_traces_total", Help: "Complete traces by the way they went."}, []string{"way"}),
		compared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_engine_compared_total", Help: "Traces compared by meaning, by the embedder and the memory that did it."}, []string{"pair"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_engine_dropped_total", Help: "What was shed, truncated or skipped, by reason."}, []string{"reason"}),
		queued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sentinel_engine_queue_items", Help: "Items that wait, by queue."}, []string{"queue"}),
		alpha: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sentinel_engine_alpha_ratio", Help: "Significance level by service."}, []string{"service"}),
		snapshot: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sentinel_engine_snapshot_timestamp_seconds", Help: "When the baselines were last stored, Unix time."}),
	}
	m.sampleRatio = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sentinel_engine_sample_ratio", Help: "Share of calm traces that nothing flagged that the semantic tier looks at."})
	m.lessons = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sentinel_engine_feedback_lessons", Help: "Incidents and anomalies on which a quorum of API keys has a verdict."}, []string{"verdict"})
	m.falsePositives = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sentinel_false_positive_rate", Help: "Share of false positives among what people judged, 0 to 1; NaN while nothing is."})
	m.falsePositiveBound = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sentinel_engine_false_positive_bound_ratio", Help: "Wilson's 95 % interval of sentinel_false_positive_rate."}, []string{"bound"})
	m.performance = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sentinel_model_performance_score",
		Help: "Least share of true positives that people's verdicts support, the lower end of a 95 % interval, 0 to 1; NaN while there are none."})
	m.judged(nil)
	for _, c := range []prometheus.Collector{
		m.anomalies, m.incidents, m.latency, m.spans, m.traces, m.compared, m.dropped, m.queued, m.alpha, m.snapshot,
		m.sampleRatio, m.lessons, m.falsePositives, m.falsePositiveBound, m.performance,
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, s := range Severities {
		m.anomalies.WithLabelValues(string(s))
	}
	for _, e := range []string{ChangeRaised, ChangeResolved} {
		m.incidents.WithLabelValues(e)
	}
	for _, w := range []string{wayQuiet, waySampled, wayFlagged, wayDeferred} {
		m.traces.WithLabelValues(w)
	}
	for _, d := range dropReasons {
		m.dropped.WithLabelValues(d)
	}
	return m, nil
}

// The ways a complete trace can go.
const (
	wayQuiet    = "quiet"    // judged by screening alone
	waySampled  = "sampled"  // unremarkable, but looked at by the semantic tier
	wayFlagged  = "flagged"  // remarkable
	wayDeferred = "deferred" // flagged, and stored because the semantic queue was full
)
