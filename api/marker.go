package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	markerRange = 30 * 24 * time.Hour // listed where the query names no start
	markerStep  = 24 * time.Hour      // read at once at first, and twice as much each time that it is not enough
)

type markerQuery struct {
	from, to time.Time
	service  string
	after    markerCursor
	limit    int
}

// markerCursor is the last marker of a page; the next one starts behind it.
type markerCursor struct {
	At time.Time `json:"at"`
	ID string    `json:"id"`
}

func (m markerCursor) String() string {
	content, err := json.Marshal(m)
	if err != nil { // a stored time always marshals
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(content)
}

func parseMarkerCursor(text string) (c markerCursor, err error) {
	if text == "" {
		return c, nil
	}
	content, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err != nil || c.ID == "" || c.At.Year() < 1700 || c.At.Year() > 2200 {
		return c, invalidField("cursor", "not one that a listing gave out")
	}
	return c, nil
}

func parseMarkerQuery(raw string, now time.Time) (q markerQuery, err error) {
	values, err := queryValues(raw, "from", "to", "service", "limit", "cursor")
	if err != nil {
		return q, err
	}
	q.service = values["service"]
	if q.from, q.to, err = timeRange(values); err != nil {
		return q, err
	}
	if q.limit, err = pageLimit(values["limit"]); err != nil {
		return q, err
	}
	if q.after, err = parseMarkerCursor(values["cursor"]); err != nil {
		return q, err
	}
	if q.to.IsZero() {
		q.to = now.Add(24 * time.Hour) // a sender's clock may be ahead
	}
	if q.from.IsZero() {
		q.from = q.to.Add(-markerRange)
	}
	return q, nil
}

// listMarkers lists changes, newest first.
func (s *Server) listMarkers(c *gin.Context) error {
	if s.deps.Markers == nil {
		return engine.Errorf(engine.CodeNotFound, "change markers are not kept here")
	}
	q, err := parseMarkerQuery(c.Request.URL.RawQuery, time.Now().UTC())
	if err != nil {
		return err
	}
	page, err := s.markers(c.Request.Context(), q)
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, page)
}

// markers walks back in time until the page is full, so that a page of a long range reads little more than it shows.
func (s *Server) markers(ctx context.Context, q markerQuery) (engine.Page[engine.ChangeMarker], error) {
	page := engine.Page[engine.ChangeMarker]{Items: []engine.ChangeMarker{}}
	end := q.to
	if q.after.ID != "" && q.after.At.Before(end) {
		end = q.after.At.Add(1) // others of the same instant may follow
	}
	for step := markerStep; q.from.Before(end); step *= 2 {
		start := end.Add(-step)
		if start.Before(q.from) {
			start = q.from
		}
		markers, err := s.deps.Markers.Markers(ctx, start, end)
		if err != nil {
			return page, err
		}
		for _, m := range slices.Backward(markers) {
			// A change that names no service concerns every one.
			if q.service != "" && m.Service != "" && m.Service != q.service {
				continue
			}
			if q.after.ID != "" && m.At.Equal(q.after.At) && m.ID >= q.after.ID {
				continue
			}
			if len(page.Items) == q.limit {
				last := page.Items[q.limit-1]
				page.Next = markerCursor{At: last.At, ID: last.ID}.String()
				return page, nil
			}
			page.Items = append(page.Items, m)
		}
		end = start
	}
	return page, nil
}
