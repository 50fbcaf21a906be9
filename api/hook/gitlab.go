package hook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// gitlabEvent has what is read of GitLab's payloads: https://docs.gitlab.com/user/project/integrations/webhook_events.
type gitlabEvent struct {
	Kind    string `json:"object_kind"`
	Project struct {
		Path string `json:"path_with_namespace"`
	} `json:"project"`
	Ref string `json:"ref"` // of deployments and tag pushes

	// Deployments.
	Status       string `json:"status"`
	ChangedAt    string `json:"status_changed_at"`
	DeploymentID int64  `json:"deployment_id"`
	Environment  string `json:"environment"`
	ShortSHA     string `json:"short_sha"`
	CommitURL    string `json:"commit_url"`
	CommitTitle  string `json:"commit_title"`

	// Releases.
	Action     string `json:"action"`
	Name       string `json:"name"`
	ReleasedAt string `json:"released_at"`

	// Tag pushes.
	Before string `json:"before"`
	After  string `json:"after"`
}

func decodeGitLab(_ http.Header, body []byte) (change, error) {
	var e gitlabEvent
	switch kind, err := gitlabKind(body); {
	case err != nil:
		return change{}, err
	case kind != "deployment" && kind != "release" && kind != "tag_push":
		return change{ignored: fmt.Sprintf("%s marks no change; deployment, release and tag_push do", clean(kind, maxName))}, nil
	}
	if err := decodeJSON(body, &e); err != nil {
		return change{}, err
	}
	switch e.Kind {
	case "deployment":
		return e.deployment()
	case "release":
		var release struct {
			Tag string `json:"tag"`
		}
		if err := decodeJSON(body, &release); err != nil {
			return change{}, err
		}
		if e.Action != "create" {
			return change{ignored: fmt.Sprintf("release %q: a release counts once it is created", clean(e.Action, maxName))}, nil
		}
		return e.release("tag", release.Tag)
	}
	if !absent(e.Before) || absent(e.After) {
		return change{ignored: "tag_push: a tag counts once it is created, not when it is moved or deleted"}, nil
	}
	return e.release("ref", strings.TrimPrefix(e.Ref, "refs/tags/"))
}

// gitlabKind reads what a payload is about and nothing else: the same name has another type in another kind.
func gitlabKind(body []byte) (string, error) {
	var e struct {
		Kind string `json:"object_kind"`
	}
	if err := decodeJSON(body, &e); err != nil {
		return "", err
	}
	return e.Kind, needed("object_kind", e.Kind)
}

func (e gitlabEvent) deployment() (change, error) {
	if e.Status != "success" {
		return change{ignored: fmt.Sprintf("deployment status %q: a deployment counts once it is a success", clean(e.Status, maxName))}, nil
	}
	commit := lastSegment(e.CommitURL) // the whole id; the payload itself has its start only
	if e.ShortSHA == "" || !strings.HasPrefix(commit, e.ShortSHA) {
		commit = e.ShortSHA
	}
	version := released(e.Ref, commit)
	if err := needed("project.path_with_namespace", e.Project.Path, "ref", version); err != nil {
		return change{}, err
	}
	if e.DeploymentID == 0 {
		return change{}, &FieldError{"deployment_id", "is needed"}
	}
	c := change{
		// A deployment that is run again has a new time under its old id.
		key: []string{e.Project.Path, "deployment", strconv.FormatInt(e.DeploymentID, 10), e.ChangedAt},
		at:  parseTime(e.ChangedAt), kind: engine.MarkerDeployment, name: e.Project.Path, environment: e.Environment, version: version,
		description: fmt.Sprintf("%s of %s to %s", e.Ref, e.Project.Path, e.Environment),
	}
	if e.CommitTitle != "" {
		c.description += ": " + e.CommitTitle
	}
	return c, nil
}

// release is a tag or the release that is made of it: both are told of, and are one change.
func (e gitlabEvent) release(field, tag string) (change, error) {
	if err := needed("project.path_with_namespace", e.Project.Path, field, tag); err != nil {
		return change{}, err
	}
	c := change{
		key: []string{e.Project.Path, "release", tag},
		at:  parseTime(e.ReleasedAt), kind: engine.MarkerDeployment, name: e.Project.Path, version: tag,
		description: fmt.Sprintf("release %s of %s", tag, e.Project.Path),
	}
	if e.Name != "" && e.Name != tag {
		c.description += ": " + e.Name
	}
	return c, nil
}

// absent reports whether a commit id is the one of zeros that stands for none.
func absent(commit string) bool { return strings.Trim(commit, "0") == "" }
