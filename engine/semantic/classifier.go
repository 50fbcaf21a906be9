package semantic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
)

// classifier is a logistic regression over surfaces that starts from the weights that ship and goes on learning: from calm traffic what
// is no attack here, from known attacks what is one. A step on one is joined by steps on some that were seen before, of both sides, so
// that neither is forgotten and both weigh the same however seldom attacks are. Steps are those of AdaGrad (Duchi, Hazan and Singer,
// JMLR 2011), by which rare words learn fast.
//
// It is not safe for concurrent use.
type classifier struct {
	shipped *weights
	own     *learnt // nil until something is learnt: then scores are those of what ships
	attacks kept
	calm    kept
	random  rand.PCG
}

// weights are a linear model.
type weights struct {
	bias float32
	w    []float32 // one a place
}

// learnt is a linear model that learns, with the sum of the squares of its gradients.
type learnt struct {
	weights
	squares []float32
	bias2   float32
}

// How it learns.
const (
	learningRate = 0.3
	firstSquares = 0.02 // keeps the first steps from what ships small
	replayed     = 2    // examples of each side that join a step
	maxKept      = 1024 // examples of each side that are kept
	maxSurface   = 4096 // features of an example that is kept
)

// kept is a uniform sample of what was seen (Algorithm R, Vitter, ACM TOMS 1985).
type kept struct {
	Seen     uint64
	Examples []surface
}

func (k *kept) add(s surface, random *rand.Rand) {
	if len(s) > maxSurface {
		return
	}
	k.Seen++
	if len(k.Examples) < maxKept {
		k.Examples = append(k.Examples, s)
	} else if i := random.Uint64N(k.Seen); i < maxKept {
		k.Examples[i] = s
	}
}

// newClassifier starts from what ships, beside known attacks to be kept in mind.
func newClassifier(shipped *weights, known []string) *classifier {
	c := &classifier{shipped: shipped, random: *rand.NewPCG(1, 0)}
	random := rand.New(&c.random)
	for _, text := range known {
		c.attacks.add(look(reading{text: plain(text)}), random)
	}
	return c
}

// logit is the logarithm of the odds that a text is an attack, where attacks are as frequent as others.
func (c *classifier) logit(s surface) float64 {
	if c.own != nil {
		return c.own.logit(s)
	}
	return c.shipped.logit(s)
}

func (m *weights) logit(s surface) float64 {
	z := m.bias
	s.each(func(place uint32, value float32) { z += m.w[place] * value })
	return float64(z)
}

// chance turns a logit into a probability.
func chance(logit float64) float64 { return 1 / (1 + math.Exp(-logit)) }

// learn takes an example to its side.
func (c *classifier) learn(s surface, attack bool) {
	if c.own == nil {
		c.own = &learnt{
			weights: weights{c.shipped.bias, slices.Clone(c.shipped.w)}, squares: make([]float32, places),
		}
	}
	c.own.step(s, attack)
	random := rand.New(&c.random)
	for range replayed {
		for _, side := range []struct {
			of     *kept
			attack bool
		}{{&c.attacks, true}, {&c.calm, false}} {
			if n := len(side.of.Examples); n > 0 {
				c.own.step(side.of.Examples[random.IntN(n)], side.attack)
			}
		}
	}
	if attack {
		c.attacks.add(s, random)
	} else {
		c.calm.add(s, random)
	}
}

// step moves the weights against the gradient of the logistic loss.
func (m *learnt) step(s surface, attack bool) {
	g := float32(chance(m.logit(s)))
	if attack {
		g--
	}
	if g > -0.01 && g < 0.01 {
		return // it is known
	}
	s.each(func(place uint32, value float32) {
		d := g * value
		m.squares[place] += d * d
		m.w[place] -= learningRate * d / float32(math.Sqrt(firstSquares+float64(m.squares[place])))
	})
	m.bias2 += g * g
	m.bias -= learningRate * g / float32(math.Sqrt(1+float64(m.bias2)))
}

// classifierState is what a snapshot keeps: of the weights those that differ from what ships.
type classifierState struct {
	Own           bool
	Bias, Bias2   float32
	Places        []uint32
	Values        []float32 // weight and sum of squares of each place
	Attacks, Calm kept
	Random        []byte
}

func (c *classifier) state() (classifierState, error) {
	random, err := c.random.MarshalBinary()
	out := classifierState{Attacks: c.attacks, Calm: c.calm, Random: random}
	if c.own != nil {
		out.Own, out.Bias, out.Bias2 = true, c.own.bias, c.own.bias2
		for i, q := range c.own.squares {
			if q != 0 {
				out.Places = append(out.Places, uint32(i))
				out.Values = append(out.Values, c.own.w[i], q)
			}
		}
	}
	return out, err
}

// restored is the classifier of a snapshot.
func (c *classifier) restored(in classifierState) (*classifier, error) {
	out := &classifier{shipped: c.shipped, attacks: in.Attacks, calm: in.Calm}
	if err := out.random.UnmarshalBinary(in.Random); err != nil {
		return nil, fmt.Errorf("random state: %w", err)
	}
	if len(in.Values) != 2*len(in.Places) || len(in.Places) > places {
		return nil, fmt.Errorf("%d values for %d weights", len(in.Values), len(in.Places))
	}
	if in.Own {
		out.own = &learnt{weights: weights{in.Bias, slices.Clone(c.shipped.w)}, squares: make([]float32, places), bias2: in.Bias2}
		for k, i := range in.Places {
			if i >= places {
				return nil, fmt.Errorf("weight %d of %d", i, places)
			}
			out.own.w[i], out.own.squares[i] = in.Values[2*k], in.Values[2*k+1]
		}
	}
	return out, nil
}

// What a file of weights starts with.
const weightsMagic = "sentinel linear 1\n"

// writeWeights writes a model: the scale, the bias, and of each weight that is not 0 the distance of its place from the one before and
// a byte, in units of the scale.
func writeWeights(w io.Writer, m *weights) error {
	var most float64
	for _, x := range m.w {
		most = max(most, math.Abs(float64(x)))
	}
	scale := float32(max(most, 1e-9) / math.MaxInt8)
	out := append([]byte(weightsMagic), make([]byte, 8)...)
	binary.LittleEndian.PutUint32(out[len(weightsMagic):], math.Float32bits(scale))
	binary.LittleEndian.PutUint32(out[len(weightsMagic)+4:], math.Float32bits(m.bias))
	last := -1
	for i, x := range m.w {
		if q := int8(math.Round(float64(x / scale))); q != 0 {
			out = binary.AppendUvarint(out, uint64(i-last))
			out = append(out, byte(q))
			last = i
		}
	}
	_, err := w.Write(out)
	return err
}

// readWeights reads what writeWeights wrote.
func readWeights(data []byte) (*weights, error) {
	rest, ok := bytes.CutPrefix(data, []byte(weightsMagic))
	if !ok || len(rest) < 8 {
		return nil, errors.New("semantic: these are no weights of a linear model")
	}
	scale := math.Float32frombits(binary.LittleEndian.Uint32(rest))
	m := &weights{bias: math.Float32frombits(binary.LittleEndian.Uint32(rest[4:])), w: make([]float32, places)}
	at := -1
	for rest = rest[8:]; len(rest) > 0; {
		gap, n := binary.Uvarint(rest)
		if n <= 0 || n >= len(rest) || gap == 0 || gap > uint64(places-1-at) {
			return nil, fmt.Errorf("semantic: weights are damaged after place %d", at)
		}
		at += int(gap)
		m.w[at] = scale * float32(int8(rest[n]))
		rest = rest[n+1:]
	}
	return m, nil
}
