package hook

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// argoEvent is the body of the template in docs/changes.md: what Argo CD sends is what its template says.
type argoEvent struct {
	Application string            `json:"application"`
	Namespace   string            `json:"namespace"`
	Environment string            `json:"environment"`
	Phase       string            `json:"phase"`
	FinishedAt  string            `json:"finished_at"`
	Revision    string            `json:"revision"`
	Revisions   []string          `json:"revisions"` // of an application with several sources
	Images      []string          `json:"images"`
	Kind        engine.MarkerKind `json:"kind"`
	Version     string            `json:"version"`
	Previous    string            `json:"previous"`
	Message     string            `json:"message"`
}

func decodeArgoCD(_ http.Header, body []byte) (change, error) {
	var e argoEvent
	if err := decodeJSON(body, &e); err != nil {
		return change{}, err
	}
	if err := needed("application", e.Application, "phase", e.Phase); err != nil {
		return change{}, err
	}
	if e.Phase != "Succeeded" {
		return change{ignored: fmt.Sprintf("phase %q: a sync counts once it is Succeeded", clean(e.Phase, maxName))}, nil
	}
	if e.Revision == "" {
		e.Revision = strings.Join(e.Revisions, " ")
	}
	switch e.Kind {
	case "":
		e.Kind = engine.MarkerDeployment
	case engine.MarkerDeployment, engine.MarkerRollback, engine.MarkerConfiguration, engine.MarkerModelVersion, engine.MarkerPromptVersion:
	default:
		return change{}, &FieldError{"kind", fmt.Sprintf("%q is not deployment, rollback, configuration, model_version or prompt_version", clean(string(e.Kind), maxName))}
	}
	c := change{
		key: []string{e.Namespace, e.Application, e.Revision, e.Version, e.FinishedAt},
		at:  parseTime(e.FinishedAt), kind: e.Kind, name: e.Application, environment: e.Environment, version: e.Version, previous: e.Previous,
		description: fmt.Sprintf("sync of %s to %s", e.Application, e.Revision),
	}
	if c.version == "" {
		c.version, c.images = e.Revision, tags(e.Images)
		if len(c.images) == 1 {
			for _, tag := range c.images {
				c.version = tag
			}
		}
	}
	if e.Message != "" {
		c.description += ": " + e.Message
	}
	return c, needed("revision", c.version)
}

// tags are the versions of images such as registry.example:5000/acme/checkout:2.4.0, by the last part of their name. The
// revision of the manifests is no version that a service knows itself by; the tag of its image mostly is.
func tags(images []string) map[string]string {
	out := make(map[string]string, len(images))
	for _, image := range images {
		image, _, _ = strings.Cut(image, "@") // a digest
		name, tag, _ := strings.Cut(lastSegment(image), ":")
		if tag = clean(tag, maxName); tag != "" {
			out[name] = tag
		}
	}
	return out
}
