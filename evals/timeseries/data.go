package timeseries

import (
	"bytes"
	"cmp"
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

// load reads the series that windows.json names, in the order of their names. Files that are missing are ErrUnavailable.
func load(env evals.Env) ([]series, error) {
	path := env.Path(folder, "windows.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, evals.Unavailable("there is no %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("timeseries: %w", err)
	}
	// A series that makes no sense is left out as a malformed line is.
	skip := func(name string, err error) error {
		quoted, _ := json.Marshal(name) // a string can be marshalled
		line := 1 + bytes.Count(data[:max(0, bytes.Index(data, quoted))], []byte("\n"))
		return env.Skip(path, line, fmt.Errorf("%s: %w", name, err))
	}
	var limits map[string]json.RawMessage
	if err := json.Unmarshal(data, &limits); err != nil {
		if err := env.Skip(path, 1, err); err != nil {
			return nil, err
		}
	}
	var out []series
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		one, err := loadSeries(env, name, limits[name])
		switch {
		case err == nil:
			out = append(out, one)
		case errors.As(err, new(malformed)):
			err = skip(name, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, evals.Unavailable("%s names no series that can be used", path)
	}
	return out, nil
}

// malformed is an error of one series and its windows.
type malformed struct{ error }

func loadSeries(env evals.Env, name string, limits json.RawMessage) (series, error) {
	s := series{name: name}
	if !filepath.IsLocal(name) {
		return s, malformed{errors.New("is no path below the folder")}
	}
	var windows [][2]string
	if err := json.Unmarshal(limits, &windows); err != nil {
		return s, malformed{err}
	}
	var err error
	if s.times, s.values, err = readPoints(env, env.Path(folder, name)); err != nil {
		return s, err
	}
	for _, w := range windows {
		rows, err := rowsOf(s.times, w)
		if err != nil {
			return s, malformed{fmt.Errorf("window %s to %s: %w", w[0], w[1], err)}
		}
		s.windows = append(s.windows, rows)
	}
	slices.SortFunc(s.windows, func(a, b nab.Window) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(s.windows); i++ {
		if s.windows[i].First <= s.windows[i-1].Last {
			return s, malformed{fmt.Errorf("windows overlap at row %d", s.windows[i].First)}
		}
	}
	return s, nil
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
	err = evals.EachLine(env, path, func(number int, line []byte) error {
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
