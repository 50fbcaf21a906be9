package relevance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// row is a line of the data: a response, of which only the question and the context count here.
type row struct {
	ID       string `json:"id"`
	Context  string `json:"context"`
	Question string `json:"question"` // empty for summaries, which nobody searched for
}

func (r row) check() error {
	switch {
	case r.ID == "":
		return errors.New("id: is empty")
	case strings.TrimSpace(r.Context) == "":
		return errors.New("context: is empty")
	}
	return nil
}

// kind says whose document a search found.
type kind string

const (
	relevant kind = "relevant" // that of the question
	easy     kind = "easy"     // that of a question drawn at random
	hard     kind = "hard"     // of the documents of other questions, the one most like the question by BM25
)

// irrelevant are the kinds that are to be noticed; each is measured apart.
var irrelevant = [...]kind{easy, hard}

// search is a question and the document that was found.
type search struct {
	Question string  `json:"question"`
	Document string  `json:"document"`
	Kind     kind    `json:"kind"`
	Own      string  `json:"own"`  // the document that belongs to the question: its searches share a fold and are drawn together
	BM25     float64 `json:"bm25"` // of the question against the document, among the documents of the data
}

// searches are three for each question: the relevant one, the easy one and the hard one.
type searches []search

// load makes searches of the questions of the data, each once.
func load(env evals.Env) (searches, error) {
	rows, err := evals.ReadJSONL(env, env.Path("groundedness.jsonl.gz"), evals.Distinct(func(r row) string { return r.ID }, row.check))
	if err != nil {
		return nil, err
	}
	asked := make(map[row]bool)
	stored := make(map[string]bool)
	var questions []row
	var documents []string
	for _, r := range rows {
		r.ID = ""
		if strings.TrimSpace(r.Question) == "" || asked[r] {
			continue
		}
		asked[r] = true
		questions = append(questions, r)
		if !stored[r.Context] {
			stored[r.Context] = true
			documents = append(documents, r.Context)
		}
	}
	if len(documents) < leastDocuments {
		return nil, evals.Unavailable("%s has questions about %d contexts, %d are needed", env.Path("groundedness.jsonl.gz"), len(documents), leastDocuments)
	}
	return pair(questions, newIndex(documents), env.Seed), nil
}

// leastDocuments is how many documents are needed for every fold to have one.
const leastDocuments = 2 * folds

// pair finds for each question its own document and two of others.
func pair(questions []row, index *index, seed uint64) searches {
	random := rand.New(rand.NewPCG(seed, 0x2545f4914f6cdd1d))
	var out searches
	for _, q := range questions {
		scores := index.scores(q.Question)
		own, best, other := -1, -1, random.IntN(len(scores)-1)
		for i, d := range index.documents {
			switch {
			case d == q.Context:
				own = i
			case best < 0 || scores[i] > scores[best]:
				best = i
			}
		}
		if other >= own {
			other++ // any but its own
		}
		for _, found := range []struct {
			kind kind
			at   int
		}{{relevant, own}, {easy, other}, {hard, best}} {
			out = append(out, search{q.Question, index.documents[found.at], found.kind, q.Context, scores[found.at]})
		}
	}
	return out
}

// owners has one value a search: what shares a fold and is drawn together.
func (all searches) owners() []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.Own
	}
	return out
}

// where lists the searches that hold.
func (all searches) where(hold func(i int) bool) []int {
	var out []int
	for i := range all {
		if hold(i) {
			out = append(out, i)
		}
	}
	return out
}

func (all searches) pick(which []int) searches {
	out := make(searches, 0, len(which))
	for _, i := range which {
		out = append(out, all[i])
	}
	return out
}

// relevant are the relevant searches that hold: what is normal.
func (all searches) relevant(hold func(i int) bool) searches {
	return all.pick(all.where(func(i int) bool { return all[i].Kind == relevant && hold(i) }))
}

// irrelevant has one value a search.
func (all searches) irrelevant() []bool {
	out := make([]bool, len(all))
	for i, s := range all {
		out[i] = s.Kind != relevant
	}
	return out
}

func (s search) String() string { return fmt.Sprintf("%s search for %.40q", s.Kind, s.Question) }
