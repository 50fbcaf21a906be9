package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	maxResponseBytes = 64 << 10
	maxShownResponse = 200
	maxRedirects     = 3
	maxRetryAfter    = time.Hour
)

// HTTP sends requests to one configured address, for the receivers that speak HTTP. Safe for concurrent use.
type HTTP struct{ client *http.Client }

// NewHTTP makes an HTTP that trusts what t says. It follows redirects that keep method and body, and only to the same scheme
// and host: a body that is signed for one host, and the credentials in its headers, do not go to another.
func NewHTTP(t TLS) (*HTTP, error) {
	trust, err := t.Config()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	transport.ForceAttemptHTTP2 = true
	transport.MaxIdleConnsPerHost = 2
	transport.IdleConnTimeout = 30 * time.Second
	return &HTTP{client: &http.Client{Transport: transport, CheckRedirect: sameHost}}, nil
}

func sameHost(r *http.Request, via []*http.Request) error {
	first := via[0]
	if r.Method != first.Method || r.URL.Scheme != first.URL.Scheme || r.URL.Host != first.URL.Host || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// Close drops idle connections.
func (h *HTTP) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// Send makes one request and returns status, headers and body of the answer, whatever its status is. The error says nothing
// of the address beyond its host, since addresses of webhooks are credentials.
func (h *HTTP) Send(ctx context.Context, method, address string, header http.Header, body []byte) (*Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, engine.Permanent(errors.New("the address is no URL"))
	}
	request.Header = header
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "LLM-Sentinel")
	}
	response, err := h.client.Do(request)
	if err != nil {
		var refused *url.Error
		if errors.As(err, &refused) {
			err = refused.Err // without the address
		}
		return nil, fmt.Errorf("%s %s: %w", method, request.URL.Host, err)
	}
	defer response.Body.Close()
	a := &Answer{Status: response.StatusCode, Header: response.Header, subject: method + " " + request.URL.Host}
	if a.Body, err = io.ReadAll(io.LimitReader(response.Body, maxResponseBytes)); err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", a.subject, err)
	}
	return a, nil
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	subject string
}

// Err is nil for a status of 2xx. Other statuses are errors, which are permanent but for 408, 425, 429 and 5xx; Retry-After
// is kept as engine.Error's.
func (a *Answer) Err() error {
	if a.Status >= 200 && a.Status < 300 {
		return nil
	}
	err := fmt.Errorf("%s: status %d%s", a.subject, a.Status, a.shown())
	switch {
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests, a.Status >= 500:
		return Later(err, a.RetryAfter())
	}
	return engine.Permanent(err)
}

// shown is the beginning of the answer, fit for a log line.
func (a *Answer) shown() string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, string(a.Body))
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return ": " + cut(text, maxShownResponse)
}

// RetryAfter reads the header of that name, in seconds or as a date: 0 when there is none, an hour at most.
func (a *Answer) RetryAfter() time.Duration {
	value := a.Header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(time.Until(at), maxRetryAfter))
	}
	return 0
}

// Later marks an error as one to be tried again after a while that the other side named; 0 leaves it as it is.
func Later(err error, after time.Duration) error {
	if after <= 0 {
		return err
	}
	return &engine.Error{Code: engine.CodeUnavailable, Message: err.Error(), RetryAfter: after, Err: err}
}

// CheckURL reports what is wrong with an address of the configuration, without repeating it.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("must be an http or https URL")
	}
	return nil
}
