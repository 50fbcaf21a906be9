package semantic

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Example is a text that weights are fitted to.
type Example struct {
	Family string // of the attack, or of what it is instead
	Text   string
	Attack bool
}

// How weights are fitted: how often each example is seen, and words of the pieces that a prompt is seen in beside the whole.
const (
	epochs     = 12
	pieceWords = 64
)

// Fit fits the weights of the classifier of a kind of text, writes them as the detectors read them, and returns the mean logistic loss
// over the examples. Each side weighs the same. The same examples in the same order give the same weights.
func Fit(w io.Writer, examples []Example, kind engine.TextKind) (loss float64, err error) {
	type seen struct {
		of     surface
		attack bool
	}
	var all []seen
	counts := make(map[bool]int)
	for _, e := range examples {
		looks := []string{e.Text}
		if kind == engine.TextDocument {
			looks = units(e.Text)
		} else if parts := pieces(e.Text, pieceWords); len(parts) > 1 {
			looks = append(looks, parts...)
		}
		for _, text := range looks {
			for _, r := range readings(text) {
				all = append(all, seen{look(r), e.Attack})
				counts[e.Attack]++
			}
		}
	}
	if counts[true] == 0 || counts[false] == 0 {
		return 0, errors.New("semantic: weights need examples of attacks and of others")
	}
	m := &learnt{weights: weights{w: make([]float32, places)}, squares: make([]float32, places)}
	random := rand.New(rand.NewPCG(1, 0))
	share := float64(min(counts[true], counts[false])) / float64(max(counts[true], counts[false]))
	for range epochs {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, x := range all {
			if counts[x.attack] == min(counts[true], counts[false]) || random.Float64() < share {
				m.step(x.of, x.attack)
			}
		}
	}
	for _, x := range all {
		z := m.logit(x.of)
		if x.attack {
			z = -z
		}
		loss += math.Log1p(math.Exp(z)) / float64(len(all))
	}
	return loss, writeWeights(w, &m.weights)
}
