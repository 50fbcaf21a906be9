package timeseries

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/timeseries/nab"
)

const (
	folder    = "timeseries"
	published = "published" // below folder: raw scores, a folder a detector
)

// series is one series of the corpus.
type series struct {
	name    string // category/file.csv
	times   []time.Time
	values  []float64
	windows []nab.Window
}

func (s series) category() string { return filepath.Dir(s.name) }

// anomalous says of each row whether it lies in a window.
func (s series) anomalous() []bool {
	out := make([]bool, len(s.values))
	for _, w := range s.windows {
		for i := w.First; i <= w.Last; i++ {
			out[i] = true
		}
	}
	return out
}

// load reads the series that windows.json names, in the order of their names.
func load(env evals.Env) ([]series, error) {
	path := env.Path(folder, "windows.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, evals.Unavailable("there is no %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("timeseries: %w", err)
	}
	var limits map[string][][2]string
	if err := json.Unmarshal(data, &limits); err != nil {
		return nil, fmt.Errorf("timeseries: %s: %w", path, err)
	}
	if len(limits) == 0 {
		return nil, evals.Unavailable("%s names no series", path)
	}
	var out []series
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		s := series{name: name}
		if s.times, s.values, err = readPoints(env, env.Path(folder, name)); err != nil {
			return nil, err
		}
		for _, w := range limits[name] {
			rows, err := rowsOf(s.times, w)
			if err != nil {
				return nil, fmt.Errorf("timeseries: %s: %s: window %s to %s: %w", path, name, w[0], w[1], err)
			}
			s.windows = append(s.windows, rows)
		}
		out = append(out, s)
	}
	return out, nil
}

// loadPublished reads a published detector's raw scores of the corpus: one a row, of the same rows.
func loadPublished(env evals.Env, detector string, corpus []series) ([][]float64, error) {
	out := make([][]float64, len(corpus))
	for k, s := range corpus {
		path := env.Path(folder, published, detector, s.name)
		times, scores, err := readPoints(env, path)
		if err != nil {
			return nil, err
		}
		if !slices.EqualFunc(times, s.times, time.Time.Equal) {
			return nil, evals.Unavailable("%s has other rows than its series", path)
		}
		out[k] = scores
	}
	return out, nil
}

// publishedDetectors are the folders of raw scores, by name; none when nothing is published.
func publishedDetectors(env evals.Env) ([]string, error) {
	entries, err := os.ReadDir(env.Path(folder, published))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("timeseries: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// readPoints reads a file of time and number, gzip with .gz behind the path or plain, with a line of names first.
func readPoints(env evals.Env, path string) (times []time.Time, values []float64, err error) {
	if _, err := os.Stat(path); err != nil {
		path += ".gz"
	}
	err = evals.EachLine(path, func(number int, line []byte) error {
		if number == 1 && strings.HasPrefix(string(line), "timestamp,") {
			return nil
		}
		at, x, err := parsePoint(string(line))
		if err != nil {
			return env.Skip(path, number, err)
		}
		times, values = append(times, at), append(values, x)
		return nil
	})
	return times, values, err
}

// parsePoint reads "2006-01-02 15:04:05,number".
func parsePoint(line string) (time.Time, float64, error) {
	first, second, ok := strings.Cut(line, ",")
	if !ok {
		return time.Time{}, 0, errors.New("no comma between timestamp and value")
	}
	at, err := time.Parse(time.DateTime, first)
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("timestamp: %w", err)
	}
	x, err := strconv.ParseFloat(second, 64)
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("value: %w", err)
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return time.Time{}, 0, fmt.Errorf("value: %q is not finite", second)
	}
	return at, x, nil
}

// rowsOf finds a window's rows. Times may jump back, when clocks were set, so it ends before the first row beyond it.
func rowsOf(times []time.Time, limits [2]string) (nab.Window, error) {
	start, err := time.Parse(time.DateTime, limits[0])
	if err != nil {
		return nab.Window{}, err
	}
	end, err := time.Parse(time.DateTime, limits[1])
	if err != nil {
		return nab.Window{}, err
	}
	first := slices.IndexFunc(times, func(at time.Time) bool { return !at.Before(start) })
	if first < 0 || times[first].After(end) {
		return nab.Window{}, errors.New("the series has no row in it")
	}
	last := first
	for last+1 < len(times) && !times[last+1].After(end) {
		last++
	}
	return nab.Window{First: first, Last: last}, nil
}
