package hook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// mlflowEvent has what is read of MLflow's payloads, https://mlflow.org/docs/latest/ml/webhooks, and below of those of the
// workspace registry of Databricks, which knows stages.
type mlflowEvent struct {
	Entity    string `json:"entity"`
	Action    string `json:"action"`
	Timestamp string `json:"timestamp"`
	Workspace string `json:"workspace"`
	Data      struct {
		Name        string `json:"name"`
		Version     text   `json:"version"`
		Alias       string `json:"alias"`
		Description string `json:"description"`
	} `json:"data"`

	Event     string `json:"event"`
	At        int64  `json:"event_timestamp"` // milliseconds
	ModelName string `json:"model_name"`
	Version   text   `json:"version"`
	ToStage   string `json:"to_stage"`
	FromStage string `json:"from_stage"`
}

var registryEvents = map[string]engine.MarkerKind{
	"model_version.created":       engine.MarkerModelVersion,
	"model_version_alias.created": engine.MarkerModelVersion,
	"prompt_version.created":      engine.MarkerPromptVersion,
	"prompt_alias.created":        engine.MarkerPromptVersion,
}

// text is a string that some senders write as a number.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	var number json.Number
	if err := json.Unmarshal(raw, &number); err == nil {
		*t = text(number)
		return nil
	}
	return json.Unmarshal(raw, (*string)(t))
}

func decodeMLflow(_ http.Header, body []byte) (change, error) {
	var e mlflowEvent
	if err := decodeJSON(body, &e); err != nil {
		return change{}, err
	}
	if e.Event != "" {
		return e.databricks()
	}
	if err := needed("entity", e.Entity, "action", e.Action); err != nil {
		return change{}, err
	}
	event := e.Entity + "." + e.Action
	kind, marks := registryEvents[event]
	if !marks {
		return change{ignored: fmt.Sprintf("%s marks no change; new versions and aliases do", clean(event, maxName))}, nil
	}
	// The test button sends these, whatever there is in the registry.
	if e.Data.Name == "example_model" || e.Data.Name == "example_prompt" {
		return change{ping: true}, nil
	}
	if err := needed("data.name", e.Data.Name, "data.version", string(e.Data.Version)); err != nil {
		return change{}, err
	}
	c := change{
		key: []string{e.Workspace, e.Entity, e.Data.Name, string(e.Data.Version)}, at: parseTime(e.Timestamp), kind: kind,
		name: e.Data.Name, subject: e.Data.Name, version: string(e.Data.Version),
		description: fmt.Sprintf("version %s of %s was registered", e.Data.Version, e.Data.Name),
	}
	if strings.HasSuffix(e.Entity, "_alias") {
		if err := needed("data.alias", e.Data.Alias); err != nil {
			return change{}, err
		}
		c.key = append(c.key, e.Data.Alias, e.Timestamp) // an alias comes and goes
		c.description = fmt.Sprintf("%s of %s is now version %s", e.Data.Alias, e.Data.Name, c.version)
	} else if e.Data.Description != "" {
		c.description += ": " + e.Data.Description
	}
	return c, nil
}

func (e mlflowEvent) databricks() (change, error) {
	stage := strings.HasPrefix(e.Event, "MODEL_VERSION_TRANSITIONED_")
	if !stage && e.Event != "MODEL_VERSION_CREATED" {
		return change{ignored: fmt.Sprintf("%s marks no change; new versions and their stages do", clean(e.Event, maxName))}, nil
	}
	if err := needed("model_name", e.ModelName, "version", string(e.Version)); err != nil {
		return change{}, err
	}
	c := change{
		key: []string{"databricks", e.ModelName, string(e.Version)}, kind: engine.MarkerModelVersion,
		name: e.ModelName, subject: e.ModelName, version: string(e.Version),
		description: fmt.Sprintf("version %s of %s was registered", e.Version, e.ModelName),
	}
	if e.At > 0 {
		c.at = time.UnixMilli(min(e.At, 1<<45))
	}
	if !stage {
		return c, nil
	}
	if err := needed("to_stage", e.ToStage); err != nil {
		return change{}, err
	}
	if e.ToStage == "Archived" || e.ToStage == "None" {
		return change{ignored: fmt.Sprintf("stage %s: nothing runs from there", e.ToStage)}, nil
	}
	// The general event and the one of the stage are told of together; the time is of the one transition.
	c.key = append(c.key, e.ToStage, fmt.Sprint(e.At))
	c.environment = e.ToStage
	c.description = fmt.Sprintf("version %s of %s went from stage %s to %s", e.Version, e.ModelName, e.FromStage, e.ToStage)
	return c, nil
}
