package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const testSecret = "0123456789abcdef-a-secret"

var noon = time.Date(2026, 1, 31, 12, 5, 0, 0, time.UTC)

func configured(change ...func(*Config)) Config {
	cfg := DefaultConfig()
	for _, source := range []*SourceConfig{&cfg.GitHub, &cfg.GitLab, &cfg.ArgoCD, &cfg.MLflow} {
		source.Secret = testSecret
	}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func newReceiver(t testing.TB, change ...func(*Config)) *Receiver {
	t.Helper()
	r, err := New(configured(change...))
	require.NoError(t, err)
	return r
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	return body
}

// edit replaces a piece of a fixture, which must be there.
func edit(t testing.TB, body []byte, old, replacement string) []byte {
	t.Helper()
	require.Contains(t, string(body), old)
	return []byte(strings.ReplaceAll(string(body), old, replacement))
}

func digest(parts ...string) []byte {
	h := hmac.New(sha256.New, []byte(testSecret))
	for _, part := range parts {
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// sign makes the header that a source sends with a body.
func sign(source, event string, body []byte) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	switch source {
	case GitHub:
		h.Set("X-GitHub-Event", event)
		h.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
		h.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(digest(string(body))))
	case GitLab:
		h.Set("X-Gitlab-Event", event)
		h.Set("X-Gitlab-Token", testSecret)
	case ArgoCD:
		h.Set("Authorization", "Bearer "+testSecret)
	case MLflow:
		if event == "databricks" {
			h.Set("X-Databricks-Signature", hex.EncodeToString(digest(string(body))))
			break
		}
		stamp := strconv.FormatInt(noon.Unix(), 10)
		h.Set("X-MLflow-Delivery-Id", "d-1")
		h.Set("X-MLflow-Timestamp", stamp)
		h.Set("X-MLflow-Signature", "v1,"+base64.StdEncoding.EncodeToString(digest("d-1.", stamp, ".", string(body))))
	}
	return h
}

func read(t testing.TB, r *Receiver, source, event string, body []byte) (Outcome, error) {
	t.Helper()
	return r.Read(source, sign(source, event, body), body, noon)
}

func TestDeliveriesBecomeMarkers(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 4, 9, 0, time.UTC)
	for _, tt := range []struct {
		source, event, file string
		want                engine.ChangeMarker
	}{
		{GitHub, "deployment_status", "github-deployment_status", engine.ChangeMarker{
			At: at, Kind: engine.MarkerDeployment, Service: "shop", Version: "v2.4.0", Description: "v2.4.0 of acme/shop to production: new retriever",
		}},
		{GitHub, "release", "github-release", engine.ChangeMarker{
			At: time.Date(2026, 1, 31, 11, 55, 0, 0, time.UTC), Kind: engine.MarkerDeployment, Service: "shop", Version: "v2.4.0",
			Description: "release v2.4.0 of acme/shop: Two point four",
		}},
		{GitLab, "Deployment Hook", "gitlab-deployment", engine.ChangeMarker{
			At: at, Kind: engine.MarkerDeployment, Service: "shop", Version: "279484c09fbe69ededfced8c1bb6e6d24616b468",
			Description: "main of acme/tools/shop to production: New retriever",
		}},
		{GitLab, "Release Hook", "gitlab-release", engine.ChangeMarker{
			At: time.Date(2026, 1, 31, 11, 55, 0, 0, time.UTC), Kind: engine.MarkerDeployment, Service: "shop", Version: "v2.4.0",
			Description: "release v2.4.0 of acme/tools/shop: Two point four",
		}},
		{GitLab, "Tag Push Hook", "gitlab-tag_push", engine.ChangeMarker{
			At: noon, Kind: engine.MarkerDeployment, Service: "shop", Version: "v2.4.0", Description: "release v2.4.0 of acme/tools/shop",
		}},
		{ArgoCD, "", "argocd-deployed", engine.ChangeMarker{
			At: at, Kind: engine.MarkerDeployment, Service: "checkout", Version: "2.4.0",
			Description: "sync of checkout to 279484c09fbe69ededfced8c1bb6e6d24616b468: successfully synced (all tasks run)",
		}},
		{MLflow, "", "mlflow-model_version", engine.ChangeMarker{
			At: at.Add(310429 * time.Microsecond), Kind: engine.MarkerModelVersion, Subject: "fraud-classifier", Version: "7",
			Description: "version 7 of fraud-classifier was registered: Trained on January",
		}},
		{MLflow, "", "mlflow-model_version_alias", engine.ChangeMarker{
			At: at.Add(310429 * time.Microsecond), Kind: engine.MarkerModelVersion, Subject: "fraud-classifier", Version: "7",
			Description: "champion of fraud-classifier is now version 7",
		}},
		{MLflow, "", "mlflow-prompt_alias", engine.ChangeMarker{
			At: at.Add(310429 * time.Microsecond), Kind: engine.MarkerPromptVersion, Subject: "support-answer", Version: "12",
			Description: "production of support-answer is now version 12",
		}},
		{MLflow, "databricks", "databricks-transition", engine.ChangeMarker{
			At: at.Add(343 * time.Millisecond), Kind: engine.MarkerModelVersion, Subject: "fraud-classifier", Version: "7",
			Description: "version 7 of fraud-classifier went from stage Staging to Production",
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			out, err := read(t, newReceiver(t), tt.source, tt.event, fixture(t, tt.file))
			require.NoError(t, err)
			require.Empty(t, out.Ignored)
			require.Len(t, out.Markers, 1)
			tt.want.ID, tt.want.Source = out.Markers[0].ID, tt.source
			require.Equal(t, tt.want, out.Markers[0])
			require.Len(t, tt.want.ID, 36)

			again, err := newReceiver(t).Read(tt.source, sign(tt.source, tt.event, fixture(t, tt.file)), fixture(t, tt.file), noon.Add(time.Minute))
			require.NoError(t, err)
			require.Equal(t, tt.want.ID, again.Markers[0].ID, "sent again, it is the same marker")
		})
	}
}

// What changes nothing that runs is accepted, so that its sender does not retry, and says why it is no marker.
func TestDeliveriesThatMarkNothing(t *testing.T) {
	for _, tt := range []struct {
		name, source, event string
		body                []byte
		why                 string
	}{
		{"workflow run", GitHub, "workflow_run", fixture(t, "github-workflow_run"), "workflow_run marks no change"},
		{"pending deployment", GitHub, "deployment_status", edit(t, fixture(t, "github-deployment_status"), `"success"`, `"in_progress"`), "in_progress"},
		{"pre-release", GitHub, "release", edit(t, fixture(t, "github-release"), `"prerelease": false`, `"prerelease": true`), "pre-release"},
		{"edited release", GitHub, "release", edit(t, fixture(t, "github-release"), `"published"`, `"edited"`), "edited"},
		{"job", GitLab, "Job Hook", fixture(t, "gitlab-build"), "build marks no change"},
		{"running deployment", GitLab, "Deployment Hook", edit(t, fixture(t, "gitlab-deployment"), `"success"`, `"running"`), "running"},
		{"deleted release", GitLab, "Release Hook", edit(t, fixture(t, "gitlab-release"), `"create"`, `"delete"`), "delete"},
		{"deleted tag", GitLab, "Tag Push Hook", edit(t, fixture(t, "gitlab-tag_push"), `"after": "279484c09fbe69ededfced8c1bb6e6d24616b468"`, `"after": "0000000000000000000000000000000000000000"`), "deleted"},
		{"failed sync", ArgoCD, "", edit(t, fixture(t, "argocd-deployed"), "Succeeded", "Failed"), "Failed"},
		{"tag of a version", MLflow, "", edit(t, fixture(t, "mlflow-model_version"), `"model_version"`, `"model_version_tag"`), "model_version_tag.created"},
		{"alias taken away", MLflow, "", edit(t, fixture(t, "mlflow-prompt_alias"), `"created"`, `"deleted"`), "prompt_alias.deleted"},
		{"archived", MLflow, "databricks", edit(t, fixture(t, "databricks-transition"), `"Production"`, `"Archived"`), "Archived"},
		{"comment", MLflow, "databricks", edit(t, fixture(t, "databricks-transition"), "MODEL_VERSION_TRANSITIONED_STAGE", "COMMENT_CREATED"), "COMMENT_CREATED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := read(t, newReceiver(t), tt.source, tt.event, tt.body)
			require.NoError(t, err)
			require.Empty(t, out.Markers)
			require.False(t, out.Ping)
			require.Contains(t, out.Ignored, tt.why)
		})
	}
}

func TestPings(t *testing.T) {
	out, err := read(t, newReceiver(t), GitHub, "ping", fixture(t, "github-ping"))
	require.NoError(t, err)
	require.Equal(t, Outcome{Ping: true}, out)
	// MLflow's test button sends an example that exists nowhere.
	out, err = read(t, newReceiver(t), MLflow, "", edit(t, fixture(t, "mlflow-model_version"), "fraud-classifier", "example_model"))
	require.NoError(t, err)
	require.Equal(t, Outcome{Ping: true}, out)
}

// A release and its tag are told of in two deliveries, a stable release of GitHub under two actions; each is one change.
func TestOneChangeIsOneMarker(t *testing.T) {
	id := func(source, event string, body []byte) string {
		out, err := read(t, newReceiver(t), source, event, body)
		require.NoError(t, err)
		require.Len(t, out.Markers, 1)
		return out.Markers[0].ID
	}
	require.Equal(t, id(GitLab, "", fixture(t, "gitlab-release")), id(GitLab, "", fixture(t, "gitlab-tag_push")))
	release := fixture(t, "github-release")
	require.Equal(t, id(GitHub, "release", release), id(GitHub, "release", edit(t, release, `"published"`, `"released"`)))
	require.NotEqual(t, id(GitHub, "release", release), id(GitHub, "release", edit(t, release, `"v2.4.0"`, `"v2.4.1"`)))
	transition := fixture(t, "databricks-transition")
	require.Equal(t, id(MLflow, "databricks", transition),
		id(MLflow, "databricks", edit(t, transition, "MODEL_VERSION_TRANSITIONED_STAGE", "MODEL_VERSION_TRANSITIONED_TO_PRODUCTION")))
	// An alias may come back to a version: that is another change.
	alias := fixture(t, "mlflow-model_version_alias")
	require.NotEqual(t, id(MLflow, "", alias), id(MLflow, "", edit(t, alias, "12:04:09", "12:14:09")))
}

func TestVersions(t *testing.T) {
	deployment := fixture(t, "github-deployment_status")
	for _, tt := range []struct{ name, old, replacement, want string }{
		{"tag", "v2.4.0", "v2.4.0", "v2.4.0"},
		{"tag in full", `"ref": "v2.4.0"`, `"ref": "refs/tags/nightly"`, "nightly"},
		{"branch", `"ref": "v2.4.0"`, `"ref": "main"`, "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"},
		{"branch with a number", `"ref": "v2.4.0"`, `"ref": "sprint-17"`, "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"},
		{"said in the payload", `"payload": {}`, `"payload": {"version": "2026.1"}`, "2026.1"},
		{"payload of another shape", `"payload": {}`, `"payload": "version 3"`, "v2.4.0"},
	} {
		out, err := read(t, newReceiver(t), GitHub, "deployment_status", edit(t, deployment, tt.old, tt.replacement))
		require.NoError(t, err, tt.name)
		require.Equal(t, tt.want, out.Markers[0].Version, tt.name)
	}
	out, err := read(t, newReceiver(t, func(c *Config) { c.GitHub.VersionPrefix = "v" }), GitHub, "deployment_status", deployment)
	require.NoError(t, err)
	require.Equal(t, "2.4.0", out.Markers[0].Version)
	out, err = read(t, newReceiver(t), GitHub, "deployment_status", edit(t, deployment, `"deploy"`, `"rollback:app"`))
	require.NoError(t, err)
	require.Equal(t, engine.MarkerRollback, out.Markers[0].Kind)

	argo := fixture(t, "argocd-deployed")
	for _, tt := range []struct{ old, replacement, want string }{
		{`"acme/checkout:2.4.0"`, `""`, "279484c09fbe69ededfced8c1bb6e6d24616b468"},
		{`"registry.example:5000/acme/checkout:2.4.0", `, "", "v1.30.1"},
		{`"images": ["registry.example:5000/acme/checkout:2.4.0", "envoyproxy/envoy:v1.30.1"]`, `"images": null`, "279484c09fbe69ededfced8c1bb6e6d24616b468"},
		{`checkout:2.4.0"`, `checkout:2.4.0@sha256:00ff"`, "2.4.0"},
		{`"phase"`, `"version": "7", "phase"`, "7"},
	} {
		body := strings.Replace(string(argo), tt.old, tt.replacement, 1)
		out, err := read(t, newReceiver(t), ArgoCD, "", []byte(body))
		require.NoError(t, err)
		if body != string(argo) {
			require.Equal(t, tt.want, out.Markers[0].Version, tt.replacement)
		}
	}
}

func TestServicesAndEnvironments(t *testing.T) {
	r := newReceiver(t, func(c *Config) {
		c.GitHub.Services = map[string][]string{"acme/shop": {"checkout", "billing"}}
		c.GitHub.Environments = []string{"Production"}
		c.GitLab.Services = map[string][]string{"acme/tools/shop": {}}
		c.GitLab.Environments = []string{"staging"}
		c.MLflow.Services = map[string][]string{"fraud-classifier": {"risk"}}
		c.ArgoCD.Services = map[string][]string{"checkout": {"envoy", "checkout"}}
	})
	out, err := read(t, r, GitHub, "deployment_status", fixture(t, "github-deployment_status"))
	require.NoError(t, err)
	require.Len(t, out.Markers, 2, "a repository may be several services")
	require.Equal(t, "checkout", out.Markers[0].Service)
	require.Equal(t, "billing", out.Markers[1].Service)
	require.NotEqual(t, out.Markers[0].ID, out.Markers[1].ID)

	out, err = read(t, r, GitHub, "deployment_status", edit(t, fixture(t, "github-deployment_status"), `"production"`, `"staging"`))
	require.NoError(t, err)
	require.Contains(t, out.Ignored, "hooks.github.environments")
	out, err = read(t, r, GitLab, "", fixture(t, "gitlab-deployment"))
	require.NoError(t, err)
	require.Contains(t, out.Ignored, "hooks.gitlab.environments")
	out, err = read(t, r, GitLab, "", fixture(t, "gitlab-release"))
	require.NoError(t, err)
	require.Contains(t, out.Ignored, "hooks.gitlab.services")
	out, err = read(t, r, MLflow, "", fixture(t, "mlflow-model_version"))
	require.NoError(t, err)
	require.Equal(t, "risk", out.Markers[0].Service)
	out, err = read(t, r, ArgoCD, "", fixture(t, "argocd-deployed"))
	require.NoError(t, err)
	require.Equal(t, []string{"v1.30.1", "2.4.0"}, []string{out.Markers[0].Version, out.Markers[1].Version}, "each service has the version of its image")
}

// A form is how GitHub sends unless it is told otherwise.
func TestGitHubForm(t *testing.T) {
	body := []byte(url.Values{"payload": {string(fixture(t, "github-release"))}}.Encode())
	header := sign(GitHub, "release", body)
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	out, err := newReceiver(t).Read(GitHub, header, body, noon)
	require.NoError(t, err)
	require.Equal(t, "v2.4.0", out.Markers[0].Version)
}

// The documentation of GitHub has this example for implementers to check themselves against.
func TestGitHubSignatureOfTheDocumentation(t *testing.T) {
	header := http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}
	require.NoError(t, verifyGitHub("It's a Secret to Everybody", header, []byte("Hello, World!"), noon))
}

// Made by the hmac and base64 modules of Python, in which MLflow is written.
func TestMLflowSignatureOfAnotherImplementation(t *testing.T) {
	header := http.Header{}
	header.Set("X-MLflow-Delivery-Id", "d-1")
	header.Set("X-MLflow-Timestamp", "1769861100")
	header.Set("X-MLflow-Signature", "v1,IdkZMUPvi+ZwAPCuU8mddcWsqAtZP624p+kb8BMZ+4s=")
	require.NoError(t, verifyMLflow(testSecret, header, []byte(`{"entity": "x"}`), noon))
}

func TestSourcesMustProveThemselves(t *testing.T) {
	for _, tt := range []struct {
		source, event, file, header string
		wrong                       []string
	}{
		{GitHub, "release", "github-release", "X-Hub-Signature-256", []string{"", "sha256=", "sha256=00", "00zz", "sha1=" + strings.Repeat("0", 64)}},
		{GitLab, "", "gitlab-release", "X-Gitlab-Token", []string{"", testSecret + "x", testSecret[:10], "***"}},
		{ArgoCD, "", "argocd-deployed", "Authorization", []string{"", "Bearer", "Bearer x", testSecret, "Basic " + testSecret}},
		{MLflow, "", "mlflow-model_version", "X-MLflow-Signature", []string{"", "v1,", "v1,AAAA", "v2"}},
		{MLflow, "", "mlflow-model_version", "X-MLflow-Timestamp", []string{"", "now", "1"}},
		{MLflow, "", "mlflow-model_version", "X-MLflow-Delivery-Id", []string{"", "d-2"}},
		{MLflow, "databricks", "databricks-transition", "X-Databricks-Signature", []string{"", "00", "zz"}},
	} {
		for _, wrong := range tt.wrong {
			body := fixture(t, tt.file)
			header := sign(tt.source, tt.event, body)
			header.Set(tt.header, wrong)
			_, err := newReceiver(t).Read(tt.source, header, body, noon)
			require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(err), "%s %s: %q", tt.source, tt.header, wrong)
			require.NotContains(t, err.Error(), testSecret)
		}
	}
	for source, file := range map[string]string{GitHub: "github-release", MLflow: "mlflow-model_version"} {
		body := fixture(t, file)
		header := sign(source, "release", body)
		_, err := newReceiver(t).Read(source, header, append(body, ' '), noon)
		require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(err), "the whole body is signed")
	}
	body := fixture(t, "mlflow-model_version")
	for _, off := range []time.Duration{6 * time.Minute, -6 * time.Minute} {
		_, err := newReceiver(t).Read(MLflow, sign(MLflow, "", body), body, noon.Add(off))
		require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(err))
		require.ErrorContains(t, err, "off our clock")
	}
}

func TestWithoutASecretNothingIsTaken(t *testing.T) {
	r, err := New(DefaultConfig())
	require.NoError(t, err)
	for _, source := range append(Sources[:], "jenkins") {
		_, err := r.Read(source, http.Header{}, []byte("{}"), noon)
		require.Equal(t, engine.CodeNotFound, engine.ErrorCode(err))
		require.ErrorContains(t, err, "no secret is configured")
	}
	// An empty secret must not be one that an empty signature fits.
	_, err = r.Read(GitLab, http.Header{"X-Gitlab-Token": {""}}, []byte("{}"), noon)
	require.Equal(t, engine.CodeNotFound, engine.ErrorCode(err))
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for _, tt := range []struct {
		source, event string
		body          []byte
		field         string
	}{
		{GitHub, "", fixture(t, "github-release"), "X-GitHub-Event"},
		{GitHub, "release", edit(t, fixture(t, "github-release"), `"tag_name": "v2.4.0"`, `"tag_name": " "`), "release.tag_name"},
		{GitHub, "release", edit(t, fixture(t, "github-release"), "acme/shop", ""), "repository.full_name"},
		{GitHub, "release", edit(t, fixture(t, "github-release"), `"full_name": "acme/shop"`, `"full_name": 7`), "repository.full_name"},
		{GitHub, "release", edit(t, fixture(t, "github-release"), `"full_name": "acme/shop"`, `"full_name": "acme/"`), "name"},
		{GitHub, "release", edit(t, fixture(t, "github-release"), `"tag_name": "v2.4.0"`, `"tag_name": "\u0001"`), "version"},
		{GitHub, "deployment_status", edit(t, fixture(t, "github-deployment_status"), `"id": 209916254`, `"id": 0`), "deployment_status.id"},
		{GitLab, "", []byte(`{}`), "object_kind"},
		{GitLab, "", edit(t, fixture(t, "gitlab-deployment"), `"deployment_id": 15`, `"deployment_id": null`), "deployment_id"},
		{GitLab, "", edit(t, fixture(t, "gitlab-deployment"), "path_with_namespace", "path"), "project.path_with_namespace"},
		{ArgoCD, "", []byte(`{"phase":"Succeeded"}`), "application"},
		{ArgoCD, "", []byte(`{"phase":"Succeeded","application":"a"}`), "revision"},
		{ArgoCD, "", []byte(`{"phase":"Succeeded","application":"a","revision":"b","kind":"party"}`), "kind"},
		{MLflow, "", []byte(`{}`), "entity"},
		{MLflow, "", []byte(`{"entity":"model_version","action":"created","data":{"name":"a"}}`), "data.version"},
		{MLflow, "", []byte(`{"entity":"prompt_alias","action":"created","data":{"name":"a","version":3}}`), "data.alias"},
		{MLflow, "databricks", []byte(`{"event":"MODEL_VERSION_CREATED","version":"1"}`), "model_name"},
	} {
		_, err := read(t, newReceiver(t), tt.source, tt.event, tt.body)
		var field *FieldError
		require.ErrorAs(t, err, &field, "%s %s", tt.source, tt.field)
		require.Equal(t, tt.field, field.Field)
	}
	for _, body := range []string{``, `[`, `[]`, `"x"`, strings.Repeat(`{"project":`, 20000)} {
		_, err := read(t, newReceiver(t), GitLab, "", []byte(body))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%.10s", body)
	}
}

func TestTextOfSendersIsTamed(t *testing.T) {
	body := edit(t, fixture(t, "github-deployment_status"), "new retriever", strings.Repeat("é", 2000)+`\u0000\n\t`)
	out, err := read(t, newReceiver(t), GitHub, "deployment_status", body)
	require.NoError(t, err)
	description := out.Markers[0].Description
	require.LessOrEqual(t, len(description), maxDescription)
	require.True(t, strings.HasSuffix(description, "é…"))
	require.Equal(t, "a b", clean(" a\x00\n\t b\x7f", 10))

	future := edit(t, fixture(t, "github-deployment_status"), `"created_at": "2026-01-31T12:04:09Z"`, `"created_at": "2036-01-31T12:04:09Z"`)
	out, err = read(t, newReceiver(t), GitHub, "deployment_status", future)
	require.NoError(t, err)
	require.Equal(t, noon, out.Markers[0].At, "a change cannot have happened after we heard of it")
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for want, change := range map[string]func(*Config){
		"github.secret":       func(c *Config) { c.GitHub.Secret = "short" },
		"gitlab.environments": func(c *Config) { c.GitLab.Environments = []string{""} },
		"mlflow.services":     func(c *Config) { c.MLflow.Services = map[string][]string{"a": {""}} },
	} {
		_, err := New(configured(change))
		require.ErrorContains(t, err, want)
	}
	cfg := DefaultConfig()
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(`
github:
  secret: `+testSecret+`
  environments: [production]
  version_prefix: v
  services: {acme/shop: [checkout, billing]}
`), &cfg, yaml.Strict()))
	require.NoError(t, cfg.Validate())
	require.Equal(t, []string{"checkout", "billing"}, cfg.GitHub.Services["acme/shop"])

	shown, err := yaml.Marshal(cfg)
	require.NoError(t, err)
	asJSON, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, text := range []string{string(shown), string(asJSON), fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg.GitHub.Secret)} {
		require.NotContains(t, text, testSecret)
	}
}

// The schemas say what is read: a delivery that makes a marker fits its schema.
func TestFixturesFitTheirSchemas(t *testing.T) {
	for source, files := range map[string][]string{
		GitHub: {"github-deployment_status", "github-release"},
		GitLab: {"gitlab-deployment", "gitlab-release", "gitlab-tag_push", "gitlab-build"},
		ArgoCD: {"argocd-deployed"},
		MLflow: {"mlflow-model_version", "mlflow-model_version_alias", "mlflow-prompt_alias", "databricks-transition"},
	} {
		compiler := jsonschema.NewCompiler()
		schema, err := compiler.Compile("../../docs/schemas/hooks." + source + ".schema.json")
		require.NoError(t, err)
		for _, file := range files {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(fixture(t, file))))
			require.NoError(t, err)
			require.NoError(t, schema.Validate(value), file)
		}
		require.Error(t, schema.Validate(map[string]any{}))
	}
}
