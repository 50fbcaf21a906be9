package app

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/llm-sentinel/llm-sentinel/api"
	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/embed/batch"
	"github.com/llm-sentinel/llm-sentinel/embed/breaker"
	"github.com/llm-sentinel/llm-sentinel/embed/cache"
	"github.com/llm-sentinel/llm-sentinel/embed/langchain"
	"github.com/llm-sentinel/llm-sentinel/embed/ollama"
	"github.com/llm-sentinel/llm-sentinel/embed/openai"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/engine/grounding"
	"github.com/llm-sentinel/llm-sentinel/engine/response"
	"github.com/llm-sentinel/llm-sentinel/engine/screen"
	"github.com/llm-sentinel/llm-sentinel/engine/security"
	"github.com/llm-sentinel/llm-sentinel/engine/semantic"
	"github.com/llm-sentinel/llm-sentinel/engine/topic"
	"github.com/llm-sentinel/llm-sentinel/engine/trajectory"
	"github.com/llm-sentinel/llm-sentinel/explain"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
	"github.com/llm-sentinel/llm-sentinel/ingest/kafka"
	"github.com/llm-sentinel/llm-sentinel/ingest/otlp"
	"github.com/llm-sentinel/llm-sentinel/ingest/rabbitmq"
	"github.com/llm-sentinel/llm-sentinel/ingest/redact"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/retrieval/embedded"
	"github.com/llm-sentinel/llm-sentinel/retrieval/pgvector"
	"github.com/llm-sentinel/llm-sentinel/retrieval/qdrant"
	"github.com/llm-sentinel/llm-sentinel/store/postgres"
	"github.com/llm-sentinel/llm-sentinel/store/sqlite"
)

// DefaultYAML is the configuration that serve uses without a file: the same file a user copies and edits.
//
//go:embed default.yaml
var DefaultYAML []byte

// Config is the whole configuration, one section a room.
type Config struct {
	DataDir    string            `yaml:"data_dir"` // holds all state; relative paths below are relative to it
	Log        LogConfig         `yaml:"log"`
	API        api.Config        `yaml:"api"`
	Hooks      hook.Config       `yaml:"hooks"`
	OTLP       otlp.Config       `yaml:"otlp"`
	Kafka      kafka.Config      `yaml:"kafka"`
	RabbitMQ   rabbitmq.Config   `yaml:"rabbitmq"`
	Limits     genai.Limits      `yaml:"limits"`
	Redact     redact.Config     `yaml:"redact"`
	Engine     engine.Config     `yaml:"engine"`
	Screen     screen.Config     `yaml:"screen"`
	Security   security.Config   `yaml:"security"`
	Trajectory trajectory.Config `yaml:"trajectory"`
	Semantic   semantic.Config   `yaml:"semantic"`
	Topics     topic.Config      `yaml:"topics"`
	Grounding  grounding.Config  `yaml:"grounding"`
	Response   response.Config   `yaml:"response"`
	Embed      EmbedConfig       `yaml:"embed"`
	Memory     MemoryConfig      `yaml:"memory"`
	Store      StoreConfig       `yaml:"store"`
	Explain    explain.Config    `yaml:"explain"`
	Notify     notify.Config     `yaml:"notify"`

	// MemoryLimit is what the Go runtime keeps the memory of serve below as far as it can, in bytes; 0 sets none, and GOMEMLIMIT in the
	// environment comes before it.
	MemoryLimit int64 `yaml:"memory_limit"`
}

// LogConfig says what is logged and how. Logs never hold text of prompts or responses.
type LogConfig struct {
	Level  slog.Level `yaml:"level"`  // DEBUG, INFO, WARN or ERROR
	Format string     `yaml:"format"` // text or json
}

// defaults is what a setting that a file leaves out is.
func defaults() Config {
	c := Config{
		DataDir:    "sentinel-data",
		Log:        LogConfig{Level: slog.LevelInfo, Format: "text"},
		API:        api.DefaultConfig(),
		Hooks:      hook.DefaultConfig(),
		OTLP:       otlp.DefaultConfig(),
		Kafka:      kafka.DefaultConfig(),
		RabbitMQ:   rabbitmq.DefaultConfig(),
		Limits:     genai.DefaultLimits(),
		Redact:     redact.DefaultConfig(),
		Engine:     engine.DefaultConfig(),
		Screen:     screen.DefaultConfig(),
		Security:   security.DefaultConfig(),
		Trajectory: trajectory.DefaultConfig(),
		Semantic:   semantic.DefaultConfig(),
		Grounding:  grounding.DefaultConfig(),
		Response:   response.DefaultConfig(),
		Topics:     topic.DefaultConfig(),
		Embed: EmbedConfig{
			Provider: EmbedBuiltin, Cache: cache.DefaultConfig(), Batch: batch.DefaultConfig(), Breaker: breaker.DefaultConfig(),
			Ollama: ollama.DefaultConfig(), OpenAI: openai.DefaultConfig(), LangChain: langchain.DefaultConfig(),
		},
		Memory: MemoryConfig{
			Provider: MemoryEmbedded, Embedded: embedded.DefaultConfig(), PGVector: pgvector.DefaultConfig(), Qdrant: qdrant.DefaultConfig(),
		},
		Store:   StoreConfig{Driver: StoreSQLite, SQLite: sqlite.DefaultConfig(), Postgres: postgres.DefaultConfig()},
		Explain: explain.DefaultConfig(),
		Notify:  notify.DefaultConfig(),

		MemoryLimit: 1400 << 20,
	}
	c.Memory.Qdrant.Address = "" // a server is named before it is used
	c.Store.SQLite.Path, c.Memory.Embedded.Path = "sentinel.db", "memory.db"
	return c
}

// DefaultConfig is the embedded default.yaml, read as a user's file is.
func DefaultConfig() (Config, error) { return Parse(DefaultYAML, "default.yaml") }

// Load reads a configuration file.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return Parse(data, path)
}

// Parse reads a configuration. Unknown keys are errors that name their line; ${env:NAME} and ${env:NAME:-default} are replaced in
// every value; what is left out has its default.
func Parse(data []byte, name string) (Config, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return Config{}, fmt.Errorf("config: %s: %s", name, yaml.FormatError(err, false, true))
	}
	c := defaults()
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		env := &environment{}
		ast.Walk(env, doc.Body)
		if err := errors.Join(env.errs...); err != nil {
			return Config{}, fmt.Errorf("config: %s: %w", name, err)
		}
		if err := yaml.NewDecoder(bytes.NewReader(nil), yaml.Strict()).DecodeFromNode(doc.Body, &c); err != nil {
			return Config{}, fmt.Errorf("config: %s: %s", name, yaml.FormatError(err, false, true))
		}
	}
	// What a file says of some anomaly types leaves the others as they are.
	for t, points := range engine.DefaultSeverity().Base {
		if _, said := c.Engine.Severity.Base[t]; !said {
			if c.Engine.Severity.Base == nil {
				c.Engine.Severity.Base = make(map[engine.AnomalyType]int)
			}
			c.Engine.Severity.Base[t] = points
		}
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("config: %s: %w", name, err)
	}
	return c, nil
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	if c.DataDir == "" {
		return errors.New("data_dir is empty: say where state is kept")
	}
	if c.MemoryLimit < 0 {
		return fmt.Errorf("memory_limit is %d, want bytes, or 0 for none", c.MemoryLimit)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("log.format is %q, want text or json", c.Log.Format)
	}
	sections := []struct {
		name     string
		validate func() error
	}{
		{"api", c.API.Validate}, {"hooks", c.Hooks.Validate}, {"otlp", c.OTLP.Validate}, {"kafka", c.Kafka.Validate}, {"rabbitmq", c.validateRabbitMQ}, {"limits", c.Limits.Validate}, {"redact", c.Redact.Validate},
		{"engine", c.Engine.Validate}, {"screen", c.Screen.Validate}, {"security", c.Security.Validate}, {"trajectory", c.Trajectory.Validate},
		{"semantic", c.Semantic.Validate}, {"grounding", c.Grounding.Validate}, {"response", c.Response.Validate}, {"topics", c.Topics.Validate}, {"embed", c.Embed.Validate}, {"memory", c.Memory.Validate},
		{"store", c.Store.Validate}, {"explain", c.Explain.Validate}, {"notify", c.validateNotify},
	}
	for _, s := range sections {
		if err := s.validate(); err != nil {
			if strings.HasPrefix(err.Error(), s.name+": ") {
				return err // it says itself where it comes from
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if c.Grounding.Judge && c.Explain.LLM.Provider == explain.ProviderNone {
		return errors.New("grounding.judge: there is nobody to ask: name a language model in explain.llm")
	}
	return nil
}

// validateRabbitMQ checks a broker that is named.
func (c *Config) validateRabbitMQ() error {
	if c.RabbitMQ.URL == "" {
		return nil
	}
	return c.RabbitMQ.Validate()
}

// validateNotify checks the routes, and the settings of each receiver as its type wants them.
func (c *Config) validateNotify() error {
	if err := c.Notify.Validate(); err != nil {
		return err
	}
	_, err := openers(&c.Notify)
	return err
}

// YAML renders the configuration, secrets left out.
func (c Config) YAML() ([]byte, error) {
	return yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
}

// Path resolves a path of the configuration against the data directory. What names no file stays as it is.
func (c Config) Path(p string) string {
	if p == "" || p == ":memory:" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.DataDir, p)
}

// environment replaces ${env:…} in the scalars that it visits.
type environment struct{ errs []error }

var reference = regexp.MustCompile(`\$\{env:([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// Visit implements ast.Visitor.
func (e *environment) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		if v, ok := n.Value.(*ast.StringNode); ok {
			n.Value = e.expand(v)
		}
	case *ast.TagNode: // no setting needs one, and the decoder does not stand all of them
		e.errs = append(e.errs, fmt.Errorf("line %d: the tag %s is not known here", n.Start.Position.Line, n.Start.Value))
	case *ast.SequenceNode:
		for i, v := range n.Values {
			if v, ok := v.(*ast.StringNode); ok {
				n.Values[i] = e.expand(v)
			}
		}
	}
	return e
}

// expand replaces references. What was not quoted is read again, so that a number or a duration may come from the environment.
func (e *environment) expand(n *ast.StringNode) ast.Node {
	if !reference.MatchString(n.Value) {
		return n
	}
	value := reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		if v, ok := os.LookupEnv(m[1]); ok {
			return v
		}
		if m[2] == "" {
			e.errs = append(e.errs, fmt.Errorf("line %d: environment variable %s is not set", n.Token.Position.Line, m[1]))
		}
		return m[3]
	})
	if n.Token.Type == token.StringType {
		if file, err := parser.ParseBytes([]byte(value), 0); err == nil && len(file.Docs) == 1 {
			switch scalar := file.Docs[0].Body.(type) {
			case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
				return scalar
			}
		}
	}
	n.Value = value
	return n
}
