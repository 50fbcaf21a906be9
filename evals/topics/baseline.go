package topics

import (
	"hash/fnv"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// baseline looks at the words of each window and says how strange they are. Its score is in units of sigmas standard deviations above
// the mean of the second half of the history; it has counted the words of the first half.
type baseline struct {
	name string
	// learn returns how strange a window's words are beside those that are known.
	learn func(known []string) func(window []string) float64
}

var baselines = [...]baseline{{"chi_square", chiSquare}, {"unseen_words", unseen}}

// A window of the baselines.
const (
	window      = time.Hour
	leastWords  = 100 // that a window needs
	sigmas      = 3
	wordBuckets = 256
)

// alarms are the scores of all windows after the first half of the history.
func (b baseline) alarms(s *stream) []alarm {
	half := s.start.Add(s.changed.Sub(s.start) / 2).Truncate(window)
	var known []string
	windows := make(map[time.Time][]string)
	for _, t := range s.turns {
		words := evals.Words(t.text)
		if t.at.Before(half) {
			known = append(known, words...)
			continue
		}
		end := t.at.Truncate(window).Add(window)
		windows[end] = append(windows[end], words...)
	}
	strange := b.learn(known)
	var out []alarm
	var usual []float64
	for end := half.Add(window); end.Before(s.end.Add(window)); end = end.Add(window) {
		if len(windows[end]) < leastWords {
			continue
		}
		x := strange(windows[end])
		out = append(out, alarm{end, x})
		if !end.After(s.changed) {
			usual = append(usual, x)
		}
	}
	mean, deviation := moments(usual)
	for i := range out {
		out[i].Score = max(0, (out[i].Score-mean)/(sigmas*deviation))
	}
	return out
}

// chiSquare is the statistic of homogeneity of two samples of words in hashed buckets.
func chiSquare(known []string) func([]string) float64 {
	a, n := buckets(known), float64(len(known))
	return func(window []string) float64 {
		b, m := buckets(window), float64(len(window))
		var sum float64
		for i := range a {
			if both := a[i] + b[i]; both > 0 {
				d := math.Sqrt(m/n)*a[i] - math.Sqrt(n/m)*b[i]
				sum += d * d / both
			}
		}
		return sum
	}
}

func buckets(words []string) []float64 {
	out := make([]float64, wordBuckets)
	for _, w := range words {
		h := fnv.New32a()
		h.Write([]byte(w))
		out[h.Sum32()%wordBuckets]++
	}
	return out
}

// unseen is the proportion of the window's words that are not known.
func unseen(known []string) func([]string) float64 {
	seen := make(map[string]bool, len(known))
	for _, w := range known {
		seen[w] = true
	}
	return func(window []string) float64 {
		n := 0
		for _, w := range window {
			if !seen[w] {
				n++
			}
		}
		return float64(n) / float64(len(window))
	}
}

// moments are the mean and the standard deviation, which is never 0.
func moments(values []float64) (mean, deviation float64) {
	for _, x := range values {
		mean += x / float64(len(values))
	}
	for _, x := range values {
		deviation += (x - mean) * (x - mean) / float64(len(values))
	}
	return mean, max(math.Sqrt(deviation), 1e-9)
}
