package app_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The embedded file is a reference: it states every setting there is, with the value that is in force when it is left out.
func TestDefaultFileIsTheWholeReference(t *testing.T) {
	embedded, err := app.DefaultConfig()
	require.NoError(t, err)
	compiled, err := app.Parse([]byte("{}"), "nothing")
	require.NoError(t, err)
	effective, err := embedded.YAML()
	require.NoError(t, err)
	without, err := compiled.YAML()
	require.NoError(t, err)
	require.Equal(t, string(without), string(effective), "what is in force without the file, and with it")
	require.Equal(t, keys(t, effective), keys(t, app.DefaultYAML), "settings that are in force, and those that the file names")
}

// What is printed as the effective configuration says the same when it is read.
func TestEffectiveConfigurationCanBeReadBack(t *testing.T) {
	cfg, err := app.Parse([]byte(`
data_dir: /var/lib/sentinel
api: {listen: "0.0.0.0:8443", allowed_hosts: [sentinel.example.com], write_timeout: 3m}
engine: {sample_rate: 0.25, embed_kinds: [user_prompt, response], severity: {base: {latency_spike: 3}}}
`), "some.yaml")
	require.NoError(t, err)
	printed, err := cfg.YAML()
	require.NoError(t, err)
	again, err := app.Parse(printed, "printed.yaml")
	require.NoError(t, err)
	require.Equal(t, cfg, again)
}

// keys lists the paths of all settings in a file, "api.listen" and the like.
func keys(t *testing.T, file []byte) []string {
	t.Helper()
	var root map[string]any
	require.NoError(t, yaml.Unmarshal(file, &root))
	paths := make(map[string]bool)
	var walk func(prefix string, section map[string]any)
	walk = func(prefix string, section map[string]any) {
		for name, value := range section {
			if below, ok := value.(map[string]any); ok && len(below) > 0 {
				walk(prefix+name+".", below)
				continue
			}
			paths[prefix+name] = true
		}
	}
	walk("", root)
	return slices.Sorted(maps.Keys(paths))
}

func TestPathsAreRelativeToTheDataDirectory(t *testing.T) {
	cfg := app.Config{DataDir: "/var/lib/sentinel"}
	for path, want := range map[string]string{
		"memory.db": "/var/lib/sentinel/memory.db", "/srv/memory.db": "/srv/memory.db", ":memory:": ":memory:", "": "",
	} {
		require.Equal(t, want, cfg.Path(path))
	}
}

// The decoder does not stand a tag in every place.
func TestTagsAreRefusedByLine(t *testing.T) {
	for _, text := range []string{
		"\napi: {allowed_hosts: !x y}", "\napi: {allowed_hosts: [!x y]}", "\nlog: {level: !!str INFO}", "\nengine: !!map {sample_rate: 1}", "\ndata_dir: !x\n",
	} {
		_, err := app.Parse([]byte(text), "some.yaml")
		require.ErrorContains(t, err, "some.yaml: line 2: the tag !", text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(app.DefaultYAML)
	f.Add([]byte("api: {allowed_hosts: !x y}"))
	f.Add([]byte("a: &a [*a]\n<<: *a\ndata_dir: ${env:HOME:-[}"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = app.Parse(text, "some.yaml") // an error, never a panic
	})
}
