package ticket

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"text/template"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// templates are the two of a Config, ready to be run.
type templates struct {
	url, body *template.Template
	json      bool // the body has to be JSON
}

var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		text, err := json.Marshal(v)
		return string(text), err
	},
	"path": url.PathEscape,
}

// compile parses the templates and tries them.
func (c Config) compile() (*templates, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	media, _, err := mime.ParseMediaType(c.ContentType)
	if err != nil {
		return nil, fmt.Errorf("content_type: %w", err)
	}
	t := &templates{json: media == "application/json" || strings.HasSuffix(media, "+json")}
	if t.url, err = template.New("url").Funcs(functions).Option("missingkey=error").Parse(c.URL.Reveal()); err != nil {
		return nil, errors.New("url: is no template") // the error would show it
	}
	if t.body, err = template.New("body").Funcs(functions).Option("missingkey=error").Parse(c.Body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	empty := engine.Alert{ID: "empty", Change: engine.ChangeRaised}
	for _, a := range []engine.Alert{notify.Sample(time.Unix(0, 0)), empty} {
		m := notify.MessageOf(a)
		if _, err := t.address(m); err != nil {
			return nil, err
		}
		if _, err := t.text(m); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *templates) address(m notify.Message) (string, error) {
	var out bounded
	if err := t.url.Execute(&out, m); err != nil {
		return "", errors.New("url: the template does not work for a message")
	}
	if err := notify.CheckURL(out.String()); err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	return out.String(), nil
}

func (t *templates) text(m notify.Message) ([]byte, error) {
	var out bounded
	if err := t.body.Execute(&out, m); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if t.json && !json.Valid(out.Bytes()) {
		return nil, errors.New("body: what the template makes is not JSON; write texts as {{json .Title}}")
	}
	return out.Bytes(), nil
}

// bounded refuses to grow beyond maxBodyBytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxBodyBytes {
		return 0, fmt.Errorf("is longer than %d bytes", maxBodyBytes)
	}
	return b.Buffer.Write(p)
}
