package hook

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// githubEvent has what is read of GitHub's payloads: https://docs.github.com/webhooks/webhook-events-and-payloads.
type githubEvent struct {
	Action     string `json:"action"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	Deployment struct {
		SHA         string          `json:"sha"`
		Ref         string          `json:"ref"`
		Task        string          `json:"task"`
		Environment string          `json:"environment"`
		Description string          `json:"description"`
		Payload     json.RawMessage `json:"payload"`
	} `json:"deployment"`
	DeploymentStatus struct {
		ID        int64  `json:"id"`
		State     string `json:"state"`
		CreatedAt string `json:"created_at"`
	} `json:"deployment_status"`
	Release struct {
		TagName     string `json:"tag_name"`
		Name        string `json:"name"`
		Draft       bool   `json:"draft"`
		Prerelease  bool   `json:"prerelease"`
		PublishedAt string `json:"published_at"`
	} `json:"release"`
}

func decodeGitHub(header http.Header, body []byte) (change, error) {
	event := header.Get("X-GitHub-Event")
	switch event {
	case "":
		return change{}, &FieldError{"X-GitHub-Event", "the header is missing"}
	case "ping":
		return change{ping: true}, nil
	case "deployment_status", "release":
	default:
		return change{ignored: fmt.Sprintf("%s marks no change; deployment_status and release do", clean(event, maxName))}, nil
	}
	// A webhook with content type application/x-www-form-urlencoded, GitHub's default, has the JSON in one field.
	if media, _, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil && media == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return change{}, engine.Errorf(engine.CodeInvalid, "the form is malformed: %w", err)
		}
		body = []byte(form.Get("payload"))
	}
	var e githubEvent
	if err := decodeJSON(body, &e); err != nil {
		return change{}, err
	}
	if event == "release" {
		return e.release()
	}
	return e.deployment()
}

func (e githubEvent) deployment() (change, error) {
	if e.DeploymentStatus.State != "success" {
		return change{ignored: fmt.Sprintf("deployment status %q: a deployment counts once it is a success", clean(e.DeploymentStatus.State, maxName))}, nil
	}
	version := released(e.Deployment.Ref, e.Deployment.SHA)
	var payload struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(e.Deployment.Payload, &payload) == nil && payload.Version != "" {
		version = payload.Version
	}
	if err := needed("repository.full_name", e.Repository.FullName, "deployment.ref", version); err != nil {
		return change{}, err
	}
	if e.DeploymentStatus.ID == 0 {
		return change{}, &FieldError{"deployment_status.id", "is needed"}
	}
	c := change{
		key: []string{e.Repository.FullName, "deployment_status", strconv.FormatInt(e.DeploymentStatus.ID, 10)},
		at:  parseTime(e.DeploymentStatus.CreatedAt), kind: engine.MarkerDeployment, name: e.Repository.FullName,
		environment: e.Deployment.Environment, version: version,
		description: fmt.Sprintf("%s of %s to %s", e.Deployment.Ref, e.Repository.FullName, e.Deployment.Environment),
	}
	if strings.HasPrefix(strings.ToLower(e.Deployment.Task), "rollback") {
		c.kind = engine.MarkerRollback
	}
	if e.Deployment.Description != "" {
		c.description += ": " + e.Deployment.Description
	}
	return c, nil
}

func (e githubEvent) release() (change, error) {
	// A pre-release that becomes a release is "released" only, any other release both; the id makes one marker of them.
	if e.Action != "published" && e.Action != "released" || e.Release.Draft || e.Release.Prerelease {
		return change{ignored: fmt.Sprintf("release %q: a release counts once it is published, and no draft or pre-release", clean(e.Action, maxName))}, nil
	}
	if err := needed("repository.full_name", e.Repository.FullName, "release.tag_name", e.Release.TagName); err != nil {
		return change{}, err
	}
	c := change{
		key: []string{e.Repository.FullName, "release", e.Release.TagName},
		at:  parseTime(e.Release.PublishedAt), kind: engine.MarkerDeployment, name: e.Repository.FullName, version: e.Release.TagName,
		description: fmt.Sprintf("release %s of %s", e.Release.TagName, e.Repository.FullName),
	}
	if e.Release.Name != "" && e.Release.Name != e.Release.TagName {
		c.description += ": " + e.Release.Name
	}
	return c, nil
}
