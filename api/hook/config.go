package hook

import (
	"errors"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Sources of webhooks, as they are named in paths, in the configuration and in markers.
const (
	GitHub = "github"
	GitLab = "gitlab"
	ArgoCD = "argocd"
	MLflow = "mlflow"
)

// Sources lists them.
var Sources = [...]string{GitHub, GitLab, ArgoCD, MLflow}

const (
	minSecret = 16 // bytes
	maxName   = 256
)

// Config says which sources may deliver, and what their names mean here.
type Config struct {
	GitHub SourceConfig `yaml:"github"`
	GitLab SourceConfig `yaml:"gitlab"`
	ArgoCD SourceConfig `yaml:"argocd"`
	MLflow SourceConfig `yaml:"mlflow"`
}

// SourceConfig is about one source.
type SourceConfig struct {
	Secret        engine.Secret       `yaml:"secret"`         // shared with the sender; "" refuses all deliveries
	Environments  []string            `yaml:"environments"`   // environments or stages that count, in any case of letters; [] is all
	VersionPrefix string              `yaml:"version_prefix"` // cut from the front of versions, such as v
	Services      map[string][]string `yaml:"services"`       // repository, project, application or model, to the service.name of each service that it changes
}

// DefaultConfig refuses all.
func DefaultConfig() Config {
	empty := func() SourceConfig {
		return SourceConfig{Environments: []string{}, Services: map[string][]string{}}
	}
	return Config{GitHub: empty(), GitLab: empty(), ArgoCD: empty(), MLflow: empty()}
}

// Validate names the first setting that cannot work.
func (c Config) Validate() error {
	for _, source := range Sources {
		if err := c.of(source).validate(); err != nil {
			return fmt.Errorf("%s.%w", source, err)
		}
	}
	return nil
}

func (c Config) of(source string) SourceConfig {
	switch source {
	case GitHub:
		return c.GitHub
	case GitLab:
		return c.GitLab
	case ArgoCD:
		return c.ArgoCD
	case MLflow:
		return c.MLflow
	}
	return SourceConfig{}
}

func (c SourceConfig) validate() error {
	if c.Secret != "" && len(c.Secret) < minSecret {
		return fmt.Errorf("secret: has %d bytes; want at least %d random ones", len(c.Secret), minSecret)
	}
	for _, environment := range c.Environments {
		if environment == "" {
			return errors.New("environments: an empty name counts nothing; [] counts all")
		}
	}
	for name, services := range c.Services {
		for _, service := range services {
			if name == "" || service == "" || len(service) > maxName {
				return fmt.Errorf("services: %q to %q: want names of 1 to %d bytes", name, service, maxName)
			}
		}
	}
	return nil
}
