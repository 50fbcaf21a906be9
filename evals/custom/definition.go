package custom

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// definition is a suite's YAML file.
type definition struct {
	Name       string             `yaml:"name"`       // lower case, digits and dashes
	File       string             `yaml:"file"`       // relative to the YAML file
	Format     string             `yaml:"format"`     // jsonl or csv; "" goes by the name of the file
	Task       string             `yaml:"task"`       // an anomaly type, or series
	Fields     fields             `yaml:"fields"`     // what the file calls them
	Positive   []string           `yaml:"positive"`   // labels of what is to be found
	Negative   []string           `yaml:"negative"`   // the other labels; without them all others
	Normal     *normal            `yaml:"normal"`     // what teaches; nil teaches nothing
	Baselines  map[string]string  `yaml:"baselines"`  // by name: a field with a number, more being more suspicious
	Thresholds map[string]float64 `yaml:"thresholds"` // by metric: the worst value that passes
}

// fields maps what a task reads to the names of the file.
type fields struct {
	Label     string `yaml:"label"`
	Group     string `yaml:"group"` // near copies share one
	Text      string `yaml:"text"`
	Kind      string `yaml:"kind"` // user, document or tool
	Context   string `yaml:"context"`
	Question  string `yaml:"question"`
	Response  string `yaml:"response"`
	Timestamp string `yaml:"timestamp"`
	Value     string `yaml:"value"`
	Series    string `yaml:"series"`
}

// normal says what the pipeline learns as normal: rows apart, whose field has one of the values, or the negatives of the other folds.
type normal struct {
	Field  string   `yaml:"field"`
	Values []string `yaml:"values"`
	Folds  int      `yaml:"folds"`
}

// The formats of data files.
const (
	formatJSONL = "jsonl"
	formatCSV   = "csv"
)

// taskSeries is the task that scores the points of series; the others are anomaly types.
const taskSeries = "series"

// The metrics.
const (
	metricAUROC            = "auroc"
	metricTPR              = "tpr_at_1pct_fpr"
	metricF1               = "f1"
	metricBalancedAccuracy = "balanced_accuracy"
	metricFPR              = "fpr"
)

// task is what a task reads and measures.
type task struct {
	needs   []string // fields that are always read
	takes   []string // fields that are read when they are mapped
	kind    string   // of a text whose kind no field tells
	metrics []string
}

var (
	ranking   = []string{metricAUROC, metricTPR}
	decisions = []string{metricAUROC, metricTPR, metricF1, metricBalancedAccuracy, metricFPR}
	text      = []string{"text", "label"}
	textExtra = []string{"kind", "group"}
)

var tasks = map[string]task{
	string(engine.Jailbreak):          {needs: text, takes: textExtra, kind: kindUser, metrics: decisions},
	string(engine.PromptInjection):    {needs: text, takes: textExtra, kind: kindDocument, metrics: decisions},
	string(engine.SemanticNovelty):    {needs: text, takes: textExtra, kind: kindUser, metrics: decisions},
	string(engine.UngroundedResponse): {needs: []string{"context", "response", "label"}, takes: []string{"question", "group"}, metrics: decisions},
	taskSeries:                        {needs: []string{"timestamp", "value", "label"}, takes: []string{"series"}, metrics: ranking},
}

// byName are the places of the mapping by their YAML names.
func (f *fields) byName() map[string]*string {
	return map[string]*string{
		"label": &f.Label, "group": &f.Group, "text": &f.Text, "kind": &f.Kind, "context": &f.Context, "question": &f.Question,
		"response": &f.Response, "timestamp": &f.Timestamp, "value": &f.Value, "series": &f.Series,
	}
}

const (
	maxDefinition = 1 << 20 // bytes of YAML
	maxFolds      = 20
	maxName       = 64 // bytes
)

var suiteName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// source is a YAML file that errors point into.
type source struct {
	path string
	file *ast.File
}

// fail is an error of a field, with its line where the file has it.
func (s source) fail(field, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if path, err := yaml.PathString("$." + field); err == nil {
		if node, err := path.FilterFile(s.file); err == nil && node != nil {
			return fmt.Errorf("%s:%d: %s: %s", s.path, node.GetToken().Position.Line, field, what)
		}
	}
	return fmt.Errorf("%s: %s: %s", s.path, field, what)
}

// explain puts file, line and field before what the YAML library says.
func (s source) explain(err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	what := e.GetMessage()
	var mistyped *yaml.TypeError
	if errors.As(err, &mistyped) {
		what = "want " + kindNames[mistyped.DstType.Kind().String()]
	}
	if field := s.fieldAt(e.GetToken()); field != "" {
		what = field + ": " + what
	}
	return fmt.Errorf("%s:%d: %s", s.path, e.GetToken().Position.Line, what)
}

// kindNames are the kinds of Go values in the words of YAML.
var kindNames = map[string]string{"string": "a text", "int": "a whole number", "float64": "a number", "slice": "a list", "map": "a mapping", "struct": "a mapping"}

// fieldAt is the path of the value that begins with a token.
func (s source) fieldAt(at *token.Token) string {
	var found finder
	found.at = at
	if s.file != nil {
		for _, doc := range s.file.Docs {
			if doc.Body != nil {
				ast.Walk(&found, doc.Body)
			}
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(found.path, "$"), ".")
}

type finder struct {
	at   *token.Token
	path string
}

// Visit implements ast.Visitor.
func (f *finder) Visit(n ast.Node) ast.Visitor {
	if n.GetToken() == f.at && n.Type() != ast.MappingValueType && f.path == "" {
		f.path = n.GetPath()
	}
	return f
}

// tagFinder finds the first YAML tag. No definition needs one, and the decoder does not stand all of them.
type tagFinder struct{ found *token.Token }

// Visit implements ast.Visitor.
func (f *tagFinder) Visit(n ast.Node) ast.Visitor {
	if n.Type() == ast.TagType && f.found == nil {
		f.found = n.GetToken()
	}
	return f
}

// parse reads and checks a definition. Its file is made absolute or relative to the working folder, not to path.
func parse(path string, data []byte) (definition, error) {
	var d definition
	s := source{path: path}
	if len(data) > maxDefinition {
		return d, fmt.Errorf("%s: longer than %d KiB", path, maxDefinition>>10)
	}
	var err error
	if s.file, err = parser.ParseBytes(data, 0); err != nil {
		return d, s.explain(err)
	}
	if len(s.file.Docs) != 1 || s.file.Docs[0].Body == nil {
		return d, fmt.Errorf("%s: want one YAML document that defines a suite", path)
	}
	var tags tagFinder
	if ast.Walk(&tags, s.file.Docs[0].Body); tags.found != nil {
		return d, fmt.Errorf("%s:%d: the tag %s is not known here", path, tags.found.Position.Line, tags.found.Value)
	}
	if err := yaml.NewDecoder(strings.NewReader(""), yaml.Strict()).DecodeFromNode(s.file.Docs[0].Body, &d); err != nil {
		return d, s.explain(err)
	}
	return d, d.complete(s)
}

// complete checks a definition and fills in what it leaves out.
func (d *definition) complete(s source) error {
	if !suiteName.MatchString(d.Name) || len(d.Name) > maxName {
		return s.fail("name", "%.80q is no name of a suite: want at most %d lower-case letters and digits, with dashes between", d.Name, maxName)
	}
	if d.File == "" {
		return s.fail("file", "is missing: which file has the data?")
	}
	if !filepath.IsAbs(d.File) {
		d.File = filepath.Join(filepath.Dir(s.path), d.File)
	}
	if info, err := os.Stat(d.File); errors.Is(err, fs.ErrNotExist) {
		return s.fail("file", "there is no %s", d.File)
	} else if err != nil {
		return s.fail("file", "%v", err)
	} else if !info.Mode().IsRegular() {
		return s.fail("file", "%s is no file", d.File)
	}
	switch name := strings.TrimSuffix(d.File, ".gz"); {
	case d.Format == "" && strings.HasSuffix(name, ".jsonl"):
		d.Format = formatJSONL
	case d.Format == "" && strings.HasSuffix(name, ".csv"):
		d.Format = formatCSV
	case d.Format != formatJSONL && d.Format != formatCSV:
		return s.fail("format", "%q is unknown: want %s or %s", d.Format, formatJSONL, formatCSV)
	}
	known, ok := tasks[d.Task]
	if !ok {
		return s.fail("task", "%q is unknown: want one of %s", d.Task, strings.Join(slices.Sorted(maps.Keys(tasks)), ", "))
	}
	for name, mapped := range d.Fields.byName() {
		needed := slices.Contains(known.needs, name)
		if *mapped != "" && !needed && !slices.Contains(known.takes, name) {
			return s.fail("fields."+name, "the task %s does not read it", d.Task)
		}
		if *mapped == "" && needed {
			*mapped = name
		}
	}
	if len(d.Positive) == 0 {
		return s.fail("positive", "is missing: which labels are to be found?")
	}
	for _, label := range d.Negative {
		if slices.Contains(d.Positive, label) {
			return s.fail("negative", "%q is positive too", label)
		}
	}
	if err := d.checkNormal(s); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.Baselines)) {
		if d.Baselines[name] == "" {
			return s.fail("baselines."+name, "which field of the data is it?")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Thresholds)) {
		if !slices.Contains(known.metrics, name) {
			return s.fail("thresholds."+name, "the task %s has no such metric: it has %s", d.Task, strings.Join(known.metrics, ", "))
		}
		if x := d.Thresholds[name]; !(x >= 0 && x <= 1) {
			return s.fail("thresholds."+name, "%v is not within 0 and 1", x)
		}
	}
	return nil
}

func (d *definition) checkNormal(s source) error {
	n := d.Normal
	switch {
	case n == nil:
		return nil
	case d.Task == taskSeries:
		return s.fail("normal", "the task %s learns from each series as it goes", d.Task)
	case n.Folds != 0 && (n.Field != "" || len(n.Values) > 0):
		return s.fail("normal", "want either folds, or field and values")
	case n.Folds != 0 && (n.Folds < 2 || n.Folds > maxFolds):
		return s.fail("normal.folds", "%d is not within 2 and %d", n.Folds, maxFolds)
	case n.Folds == 0 && (n.Field == "" || len(n.Values) == 0):
		return s.fail("normal", "want folds, or field and values")
	}
	return nil
}
