package notify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestRouting(t *testing.T) {
	services := func(names ...string) func(*engine.Alert) {
		return func(a *engine.Alert) { a.Incident.Services = names }
	}
	kind := func(k engine.AnomalyType) func(*engine.Alert) {
		return func(a *engine.Alert) { a.Incident.Type = k }
	}
	cfg := config("all", "pager", "shop", "security", "boss", "rest")
	cfg.DefaultReceivers = []string{"rest"}
	cfg.Routes = []Route{
		{Match: Match{MinSeverity: engine.SeverityMedium}, Receivers: []string{"all"}, Continue: true},
		{Match: Match{Severities: []engine.Severity{engine.SeverityCritical}}, Receivers: []string{"pager"}, Continue: true,
			Escalate: []Escalation{{After: time.Minute, Receivers: []string{"boss", "all"}}, {After: time.Hour, Receivers: []string{"boss"}}}},
		{Match: Match{Services: []string{"shop-*", "cart"}, Changes: []string{engine.ChangeRaised, engine.ChangeResolved}}, Receivers: []string{"shop"}},
		{Match: Match{Types: []string{"jailbreak", "security_*"}}, Receivers: []string{"security"}},
		{Match: Match{Services: []string{"noise"}}},
	}
	require.Empty(t, cfg.Verify())
	r, err := newRouter(cfg)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		alert engine.Alert
		want  map[string]time.Duration // receivers, and after how long
	}{
		"no route":             {alert("i", engine.ChangeRaised, severity(engine.SeverityLow)), map[string]time.Duration{"rest": 0}},
		"one that continues":   {alert("i", engine.ChangeRaised, severity(engine.SeverityHigh)), map[string]time.Duration{"all": 0}},
		"several":              {alert("i", engine.ChangeRaised, severity(engine.SeverityCritical)), map[string]time.Duration{"all": 0, "pager": 0, "boss": time.Minute}},
		"service by glob":      {alert("i", engine.ChangeRaised, severity(engine.SeverityLow), services("x", "shop-1")), map[string]time.Duration{"shop": 0}},
		"service by name":      {alert("i", engine.ChangeResolved, severity(engine.SeverityLow), services("cart")), map[string]time.Duration{"shop": 0}},
		"not that change":      {alert("i", engine.ChangeExplained, severity(engine.SeverityLow), services("cart")), map[string]time.Duration{"rest": 0}},
		"the first route wins": {alert("i", engine.ChangeRaised, severity(engine.SeverityLow), services("cart"), kind(engine.Jailbreak)), map[string]time.Duration{"shop": 0}},
		"type":                 {alert("i", engine.ChangeRaised, severity(engine.SeverityLow), kind(engine.SecurityPattern)), map[string]time.Duration{"security": 0}},
		"dropped":              {alert("i", engine.ChangeRaised, severity(engine.SeverityLow), services("noise")), map[string]time.Duration{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]time.Duration{}
			for _, target := range r.targets(test.alert) {
				got[target.receiver] = target.after
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, text  string
		matches, cover bool
	}{
		{"*", "", true, true},
		{"*", "any/thing", true, true},
		{"a?c", "abc", true, true},
		{"a?c", "ac", false, false},
		{"a*c*e", "abcde", true, true},
		{"a*c", "abd", false, false},
		{"a*", "ab*", true, true},
		{"a?", "a*", true, false}, // a* may be longer
		{"ab*", "a*", false, false},
		{"*b", "a?b", true, true},
		{"a?b", "a?b", true, true},
		{"a*b*c", "a*c", false, false},
		{"", "", true, true},
		{"", "a", false, false},
	} {
		require.Equal(t, test.matches, glob(test.pattern, test.text, false), "%s matches %s", test.pattern, test.text)
		require.Equal(t, test.cover, glob(test.pattern, test.text, true), "%s covers %s", test.pattern, test.text)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?", "ab*", "abxx")
	f.Fuzz(func(t *testing.T, pattern, other, text string) {
		if glob(pattern, other, true) && glob(other, text, false) {
			require.True(t, glob(pattern, text, false), "%q covers %q, which matches %q", pattern, other, text)
		}
	})
}

func TestVerify(t *testing.T) {
	base := func(change func(*Config)) Config {
		c := config("a", "b")
		change(&c)
		return c
	}
	for name, test := range map[string]struct {
		cfg   Config
		want  string
		fatal bool
	}{
		"defaults":           {DefaultConfig(), "", false},
		"good":               {base(func(*Config) {}), "", false},
		"unknown receiver":   {base(func(c *Config) { c.Routes = []Route{{Receivers: []string{"nobody"}}} }), `routes[0].receivers: there is no receiver called "nobody"`, true},
		"unknown default":    {base(func(c *Config) { c.DefaultReceivers = []string{"a", "b", "z"} }), `default_receivers: there is no receiver called "z"`, true},
		"unknown escalation": {base(func(c *Config) { c.Routes = []Route{{Escalate: []Escalation{{time.Minute, []string{"z"}}}}} }), `routes[0].escalate[0].receivers: there is no receiver called "z"`, true},
		"unused receiver":    {base(func(c *Config) { c.DefaultReceivers = []string{"a"} }), `receivers[1]: nothing is ever sent to "b"`, false},
		"two of one name":    {base(func(c *Config) { c.Receivers[1].Name = "a"; c.DefaultReceivers = []string{"a"} }), `receivers[1].name: there is another receiver called "a"`, true},
		"unknown type":       {base(func(c *Config) { c.Receivers[0].Type = "fax" }), `receivers[0].type: "fax" is none of webhook`, true},
		"name":               {base(func(c *Config) { c.Receivers[0].Name = ""; c.DefaultReceivers = []string{"b"} }), `receivers[0].name: is empty`, true},
		"concurrency":        {base(func(c *Config) { c.Receivers[0].Concurrency = -1 }), `receivers[0].concurrency: -1 is not from 0 to 256`, true},
		"poll interval":      {base(func(c *Config) { c.PollInterval = 0 }), `poll_interval: 0s is not positive`, true},
		"attempts":           {base(func(c *Config) { c.Retry.MaxAttempts = 0 }), `retry.max_attempts: 0 is below 1`, true},
		"backoff":            {base(func(c *Config) { c.Retry.Max = time.Millisecond }), `retry.max: 1ms is below retry.initial, 1s`, true},
		"severity":           {base(func(c *Config) { c.Routes = []Route{{Match: Match{MinSeverity: "grave"}}} }), `routes[0].match.min_severity: "grave" is none of low, medium, high, critical`, true},
		"nothing matches": {base(func(c *Config) {
			c.Routes = []Route{{Match: Match{MinSeverity: "high", Severities: []engine.Severity{"low"}}}}
		}), `routes[0].match: matches nothing`, false},
		"change":             {base(func(c *Config) { c.Routes = []Route{{Match: Match{Changes: []string{"forgotten"}}}} }), `routes[0].match.changes: "forgotten" is none of raised`, true},
		"escalation at once": {base(func(c *Config) { c.Routes = []Route{{Escalate: []Escalation{{0, []string{"a"}}}}} }), `routes[0].escalate[0].after: 0s is not positive`, true},
		"escalation of nothing": {base(func(c *Config) {
			c.Routes = []Route{{Match: Match{Changes: []string{engine.ChangeResolved}}, Escalate: []Escalation{{time.Minute, []string{"a"}}}}}
		}), `routes[0].escalate: never begins`, false},
		"unknown window": {base(func(c *Config) { c.Routes = []Route{{Mute: []string{"z"}}} }), `routes[0].mute: there is no window called "z"`, true},
		"time zone":      {base(func(c *Config) { c.Mutes = []Mute{{Name: "m", TimeZone: "Mars/Base"}} }), `mutes[0]: time_zone: "Mars/Base" is no known time zone`, true},
		"day":            {base(func(c *Config) { c.Mutes = []Mute{{Name: "m", Days: []string{"someday"}}} }), `mutes[0]: days: "someday" is no day`, true},
		"hours":          {base(func(c *Config) { c.Mutes = []Mute{{Name: "m", Hours: "22:00"}} }), `mutes[0]: hours: "22:00" is not like 22:00-06:00`, true},
		"hour":           {base(func(c *Config) { c.Mutes = []Mute{{Name: "m", Hours: "22:00-25:00"}} }), `mutes[0]: hours: "22:00-25:00" is not like`, true},
		"unused window":  {base(func(c *Config) { c.Mutes = []Mute{{Name: "m", Hours: "22:00-06:00"}} }), `mutes[0]: no route names "m"`, false},
		"endless window": {base(func(c *Config) {
			c.Mutes = []Mute{{Name: "m"}}
			c.Routes = []Route{{Mute: []string{"m"}}}
		}), `mutes[0]: "m" never ends`, false},
		"shadowed": {base(func(c *Config) {
			c.Routes = []Route{
				{Match: Match{MinSeverity: "medium", Services: []string{"shop*"}}, Receivers: []string{"a"}},
				{Match: Match{Severities: []engine.Severity{"critical"}, Services: []string{"shop-1", "shopping"}, Types: []string{"error_rate"}}, Receivers: []string{"b"}},
			}
		}), `routes[1]: is never reached: routes[0] matches everything`, false},
		"not shadowed by one that continues": {base(func(c *Config) {
			c.Routes = []Route{{Receivers: []string{"a"}, Continue: true}, {Receivers: []string{"b"}}}
		}), "", false},
		"not shadowed by a narrower one": {base(func(c *Config) {
			c.Routes = []Route{{Match: Match{Services: []string{"shop*"}}, Receivers: []string{"a"}}, {Match: Match{MinSeverity: "high"}, Receivers: []string{"b"}}}
		}), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			problems := test.cfg.Verify()
			err := test.cfg.Validate()
			if test.want == "" {
				require.Empty(t, problems)
				require.NoError(t, err)
				return
			}
			require.NotEmpty(t, problems)
			require.Contains(t, problems[0].String(), test.want)
			require.Equal(t, test.fatal, problems[0].Fatal)
			require.Equal(t, test.fatal, err != nil)
		})
	}
}

func TestMuteWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, berlin)
		require.NoError(t, err)
		return v
	}
	nights := Mute{Name: "nights", Days: []string{"mon-fri"}, Hours: "22:00-06:00", TimeZone: "Europe/Berlin"}
	weekend := Mute{Name: "weekend", Days: []string{"sat", "SUN"}, TimeZone: "Europe/Berlin"}
	for name, test := range map[string]struct {
		mutes []Mute
		at    string
		end   string // "" is not muted
	}{
		"before":                       {[]Mute{nights}, "2026-03-02 21:59", ""},
		"begins":                       {[]Mute{nights}, "2026-03-02 22:00", "2026-03-03 06:00"},
		"after midnight":               {[]Mute{nights}, "2026-03-03 05:59", "2026-03-03 06:00"},
		"over":                         {[]Mute{nights}, "2026-03-03 06:00", ""},
		"belongs to the day it began":  {[]Mute{nights}, "2026-03-07 01:00", "2026-03-07 06:00"},
		"not on Saturday night":        {[]Mute{nights}, "2026-03-07 23:00", ""},
		"not on Monday morning":        {[]Mute{nights}, "2026-03-02 01:00", ""},
		"one after the other":          {[]Mute{nights, weekend}, "2026-03-06 23:00", "2026-03-09 00:00"},
		"whole days":                   {[]Mute{weekend}, "2026-03-08 12:00", "2026-03-09 00:00"},
		"the night that lacks an hour": {[]Mute{{Hours: "22:00-06:00", TimeZone: "Europe/Berlin"}}, "2026-03-29 01:30", "2026-03-29 06:00"},
		"from noon on":                 {[]Mute{{Hours: "12:00-24:00", TimeZone: "Europe/Berlin"}}, "2026-03-02 12:00", "2026-03-03 00:00"},
		"range over the weekend":       {[]Mute{{Days: []string{"fri-mon"}, TimeZone: "Europe/Berlin"}}, "2026-03-06 00:00", "2026-03-10 00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			var windows []window
			for _, m := range test.mutes {
				w, err := newWindow(m)
				require.NoError(t, err)
				windows = append(windows, w)
			}
			end, muted := mutedUntil(windows, at(test.at).UTC())
			require.Equal(t, test.end != "", muted)
			if muted {
				require.Equal(t, at(test.end).UTC(), end.UTC())
			}
		})
	}
	always, err := newWindow(Mute{Name: "always"})
	require.NoError(t, err)
	end, muted := mutedUntil([]window{always}, at("2026-03-02 12:00"))
	require.True(t, muted)
	require.True(t, end.After(at("2026-03-09 00:00")), "an endless window is looked at again in a week")
}
