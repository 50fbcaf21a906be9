package hook

import (
	"regexp"
	"strings"
	"time"
)

var dotted = regexp.MustCompile(`^v?\d+(\.\d+)+\S*$`)

// released is the version that a reference of git names: a tag as it is spelt, or the commit for a branch, whose name says
// nothing of what was in it.
func released(ref, commit string) string {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return tag
	}
	if dotted.MatchString(ref) || commit == "" {
		return ref
	}
	return commit
}

// The times of GitHub, Argo CD and MLflow are RFC 3339, those of GitLab are of three kinds.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05.999999999"}

// parseTime returns the zero time for what it cannot read: the marker then has the time of its arrival.
func parseTime(text string) time.Time {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 1970 && t.Year() < 9999 {
			return t
		}
	}
	return time.Time{}
}
