package slack

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Limits in characters: of Block Kit those of headers and texts. It takes 3000 of a section and 2000 of a field, but of all blocks together
// some 13,200, which it does not say; so each is shorter here.
const (
	maxHeader  = 150
	maxSection = 2000
	maxField   = 500
	maxText    = 4000

	maxShown     = 5 // pieces of evidence and recommendations in a message
	incidentMark = "{id}"
)

// message is what chat.postMessage, chat.update and incoming webhooks have in common.
type message struct {
	Channel     string  `json:"channel,omitempty"`
	TS          string  `json:"ts,omitempty"`
	Text        string  `json:"text"` // in notifications, and where blocks cannot be shown
	Blocks      []block `json:"blocks"`
	UnfurlLinks *bool   `json:"unfurl_links,omitempty"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// escaper makes text safe in Slack's markup: no mention of a person or channel comes out of an incident.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// markup is a text in Slack's markup, cut to n characters. What it is made of has been escaped.
func markup(s string, n int) text { return text{Type: "mrkdwn", Text: cut(s, n)} }

func section(s string) block {
	t := markup(s, maxSection)
	return block{Type: "section", Text: &t}
}

var symbols = map[engine.Severity]string{
	engine.SeverityCritical: "🔴", engine.SeverityHigh: "🟠", engine.SeverityMedium: "🟡", engine.SeverityLow: "🔵",
}

func render(m notify.Message, incidentURL string) message {
	symbol := symbols[m.Severity]
	switch m.Status {
	case engine.StatusResolved:
		symbol = "✅"
	case engine.StatusAcknowledged:
		symbol = "👀"
	}
	title := cmp.Or(m.Title, string(m.AnomalyType))
	summary := fmt.Sprintf("%s [%s] %s: %s", symbol, m.Severity, m.Change, escaper.Replace(title))
	out := message{
		Text: cut(summary, maxText),
		Blocks: []block{
			{Type: "header", Text: &text{Type: "plain_text", Text: cut(symbol+" "+title, maxHeader)}},
			{Type: "section", Fields: fields(m)},
		},
		UnfurlLinks: new(bool),
	}
	if m.Explanation != "" {
		out.Blocks = append(out.Blocks, section(escaper.Replace(m.Explanation)))
	}
	if m.Cause != nil {
		out.Blocks = append(out.Blocks, section(fmt.Sprintf("*Likely cause:* %s (%.0f %%)", escaper.Replace(m.Cause.Statement), 100*m.Cause.Confidence)))
	}
	if list := bullets(m.Recommendations); list != "" {
		out.Blocks = append(out.Blocks, section("*What to do*\n"+list))
	}
	var evidence []string
	for _, e := range m.Evidence {
		evidence = append(evidence, fmt.Sprintf("%s: %s", e.ID, e.Text))
	}
	if list := bullets(evidence); list != "" {
		out.Blocks = append(out.Blocks, section("*Evidence*\n"+list))
	}
	foot := "Incident " + escaper.Replace(m.IncidentID)
	if incidentURL != "" {
		link := strings.ReplaceAll(incidentURL, incidentMark, url.PathEscape(m.IncidentID))
		foot = "<" + link + "|" + strings.ReplaceAll(foot, "|", " ") + ">"
	}
	foot += fmt.Sprintf(" · %s · %s", escaper.Replace(m.Change), m.Timestamp.Format("2006-01-02 15:04:05 MST"))
	out.Blocks = append(out.Blocks, block{Type: "context", Elements: []text{markup(foot, maxField)}})
	return out
}

func fields(m notify.Message) []text {
	rows := [][2]string{
		{"Severity", string(m.Severity)},
		{"Status", string(m.Status)},
		{"Type", string(m.AnomalyType)},
		{"Services", strings.Join(m.AffectedServices[:min(len(m.AffectedServices), maxShown)], ", ")},
		{"Now / normal", strings.TrimSpace(fmt.Sprintf("%.4g / %.4g %s", m.Metrics.Current, m.Metrics.Baseline, m.Metrics.Unit))},
		{"For", m.Context.TimeWindow},
		{"Users", fmt.Sprint(m.Context.AffectedUsers)},
		{"Model version", m.Context.ModelVersion},
	}
	var out []text
	for _, row := range rows {
		if row[1] != "" {
			out = append(out, markup("*"+row[0]+"*\n"+escaper.Replace(row[1]), maxField))
		}
	}
	return out
}

func bullets(list []string) string {
	var out strings.Builder
	for i, s := range list {
		if i == maxShown {
			fmt.Fprintf(&out, "… %d more\n", len(list)-i)
			break
		}
		out.WriteString("• " + escaper.Replace(s) + "\n")
	}
	return out.String()
}

// cut bounds a text to n characters, and does not cut an escaped one in two.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	s = string(r[:n-1])
	if i := strings.LastIndexByte(s, '&'); i >= 0 && len(s)-i < len("&amp;") && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	return s + "…"
}
