package notify

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const document = `
receivers:
  - name: oncall
    type: webhook
    group_interval: 30s
    settings:
      url: https://example.com/hook
      secret: hush
routes:
  - match: {min_severity: high, services: ["shop-*"]}
    receivers: [oncall]
    continue: true
    mute: [nights]
    escalate: [{after: 15m, receivers: [oncall]}]
mutes:
  - {name: nights, days: [mon-fri], hours: "22:00-06:00", time_zone: Europe/Berlin}
`

type hook struct {
	URL     string        `yaml:"url"`
	Secret  engine.Secret `yaml:"secret"`
	Timeout time.Duration `yaml:"timeout"`
}

func TestConfigurationFromYAML(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(document), &cfg, yaml.Strict()))
	require.Equal(t, 30*time.Second, cfg.Receivers[0].GroupInterval)
	require.Equal(t, []Escalation{{After: 15 * time.Minute, Receivers: []string{"oncall"}}}, cfg.Routes[0].Escalate)
	require.Equal(t, time.Second, cfg.PollInterval, "what is left out has its default")

	shown, err := yaml.Marshal(cfg)
	require.NoError(t, err)
	require.NotContains(t, string(shown), "hush", "settings that nobody understood are not shown")

	settings := hook{Timeout: time.Minute}
	require.NoError(t, cfg.Receivers[0].Settings.Decode(&settings))
	require.Equal(t, hook{URL: "https://example.com/hook", Secret: "hush", Timeout: time.Minute}, settings)
	shown, err = yaml.Marshal(cfg)
	require.NoError(t, err)
	require.Contains(t, string(shown), "url: https://example.com/hook")
	require.NotContains(t, string(shown), "hush")

	var wrong struct {
		URL string `yaml:"url"`
	}
	err = cfg.Receivers[0].Settings.Decode(&wrong)
	require.ErrorContains(t, err, "secret")
	require.ErrorContains(t, err, "8")

	var none Settings
	require.NoError(t, none.Decode(&settings), "a type may need no settings")
}

// The example of the documentation is one that works, without a remark.
func TestDocumentedConfiguration(t *testing.T) {
	text, err := os.ReadFile("../docs/notify.md")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	whole := struct {
		Notify Config `yaml:"notify"`
	}{Notify: DefaultConfig()}
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(example), &whole, yaml.Strict()))
	require.Len(t, whole.Notify.Receivers, 4)
	require.Empty(t, whole.Notify.Verify())
	shown, byDefault := whole.Notify, DefaultConfig()
	require.Equal(t, byDefault.Retry, shown.Retry, "the documented defaults are the defaults")
	require.Equal(t, byDefault.PollInterval, shown.PollInterval)
	require.Equal(t, byDefault.DrainTimeout, shown.DrainTimeout)
}
