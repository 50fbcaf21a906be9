package scenario

import (
	"embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
)

//go:embed bank/*.txt
var bankFiles embed.FS

// A bank file is lines of "keyword text". Before the first "topic NAME" line they are lists of the file (names, opening,
// refusal, ...); after it they belong to that topic: q (question), a (answer sentence), d (document "title :: text") and
// tool (`name {arguments} => {result}`). "slot NAME = a | b | c" may stand in both. Text holds slots as <name>. Instead
// of a list, a slot can be @PREFIX (an identifier such as PREFIX-48213), #LO-HI (a whole number) or $LO-HI (an amount).

type bank struct {
	domains []*domain
	aliens  []*topic
	phrases map[string][]template // lists of common.txt and attacks.txt
	slots   map[string]slot       // slots of common.txt, open to every text
}

// domain is what one kind of assistant is about.
type domain struct {
	name   string
	names  []string // of services
	agents []string
	system template
	aide   tool // a tool that fits every topic of the domain
	topics []*topic
}

type topic struct {
	name      string
	slots     map[string]slot
	questions []template
	answers   []template
	documents []document
	tool      tool
}

type document struct{ id, title, text string }

type tool struct {
	name      string
	arguments template // a JSON object
	result    template // a JSON object
}

type slot struct {
	options []string
	prefix  string // identifier
	lo, hi  int    // number or amount
	amount  bool
}

func (s slot) fill(r *rand.Rand) string {
	switch {
	case s.options != nil:
		return pick(r, s.options)
	case s.prefix != "":
		return s.prefix + "-" + strconv.Itoa(10000+r.IntN(90000))
	case s.amount:
		return strconv.Itoa(s.lo+r.IntN(s.hi-s.lo)) + "." + pick(r, []string{"00", "50", "90", "25", "99"})
	default:
		return strconv.Itoa(s.lo + r.IntN(s.hi-s.lo+1))
	}
}

// template is text with slots: literal parts stand at even indexes, slot names at odd ones.
type template []string

func parseTemplate(text string) template {
	var t template
	for {
		open := strings.IndexByte(text, '<')
		end := strings.IndexByte(text, '>')
		if open < 0 || end < open {
			return append(t, text)
		}
		t = append(t, text[:open], text[open+1:end])
		text = text[end+1:]
	}
}

// filling holds the values that slots have in one conversation, so that question, tool call and answer agree.
type filling map[string]string

// render fills the slots of t, drawing those that have no value yet.
func (b *bank) render(r *rand.Rand, t template, in *topic, values filling) string {
	if len(t) == 1 {
		return t[0]
	}
	var out strings.Builder
	for i, part := range t {
		if i%2 == 0 {
			out.WriteString(part)
			continue
		}
		v, ok := values[part]
		if !ok {
			s, own := in.slots[part]
			if !own {
				s = b.slots[part]
			}
			v = s.fill(r)
			values[part] = v
		}
		out.WriteString(v)
	}
	return out.String()
}

// section is a file, or one topic of it, as it was read.
type section struct {
	name  string
	lists map[string][]string
	slots map[string]slot
}

func loadBank() (*bank, error) {
	common, _, err := readSections("common.txt")
	if err != nil {
		return nil, err
	}
	b := &bank{phrases: map[string][]template{}, slots: common.slots}
	attacks, _, err := readSections("attacks.txt")
	if err != nil {
		return nil, err
	}
	for name, s := range attacks.slots {
		b.slots[name] = s
	}
	for _, from := range []section{common, attacks} {
		for list, texts := range from.lists {
			for _, text := range texts {
				t, err := b.template(text, from)
				if err != nil {
					return nil, err
				}
				b.phrases[list] = append(b.phrases[list], t)
			}
		}
	}
	_, aliens, err := readSections("aliens.txt")
	if err != nil {
		return nil, err
	}
	for _, s := range aliens {
		t, err := b.topic("aliens", s)
		if err != nil {
			return nil, err
		}
		b.aliens = append(b.aliens, t)
	}
	entries, err := bankFiles.ReadDir("bank")
	if err != nil {
		return nil, fmt.Errorf("scenario: read bank: %w", err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "common.txt", "attacks.txt", "aliens.txt":
			continue
		}
		d, err := b.domain(e.Name())
		if err != nil {
			return nil, err
		}
		b.domains = append(b.domains, d)
	}
	return b, nil
}

func (b *bank) domain(file string) (*domain, error) {
	head, topics, err := readSections(file)
	if err != nil {
		return nil, err
	}
	d := &domain{name: head.name, names: head.lists["name"], agents: head.lists["agent"]}
	if d.system, err = b.template(head.only("system"), head); err != nil {
		return nil, err
	}
	if d.aide, err = b.tool(head.only("tool"), head); err != nil {
		return nil, err
	}
	if len(d.names) == 0 || len(d.agents) < 2 || len(topics) < 2 {
		return nil, fmt.Errorf("scenario: bank: %s: has no name, fewer than two agents or fewer than two topics", file)
	}
	for _, s := range topics {
		for name, shared := range head.slots {
			if _, own := s.slots[name]; !own {
				s.slots[name] = shared
			}
		}
		t, err := b.topic(d.name, s)
		if err != nil {
			return nil, err
		}
		d.topics = append(d.topics, t)
	}
	return d, nil
}

func (b *bank) topic(domain string, s section) (*topic, error) {
	t := &topic{name: s.name, slots: s.slots}
	var err error
	for _, text := range s.lists["q"] {
		q, err := b.template(text, s)
		if err != nil {
			return nil, err
		}
		t.questions = append(t.questions, q)
	}
	for _, text := range s.lists["a"] {
		a, err := b.template(text, s)
		if err != nil {
			return nil, err
		}
		t.answers = append(t.answers, a)
	}
	for i, text := range s.lists["d"] {
		title, body, ok := strings.Cut(text, " :: ")
		if !ok {
			return nil, fmt.Errorf("scenario: bank: %s: document %d has no title", s.name, i+1)
		}
		id := fmt.Sprintf("%s/%s-%d", domain, s.name, i+1)
		t.documents = append(t.documents, document{id: id, title: title, text: body})
	}
	if len(s.lists["tool"]) > 0 {
		t.tool, err = b.tool(s.only("tool"), s)
	}
	return t, err
}

func (b *bank) tool(text string, s section) (tool, error) {
	name, rest, _ := strings.Cut(text, " ")
	arguments, result, ok := strings.Cut(rest, " => ")
	if !ok {
		return tool{}, fmt.Errorf("scenario: bank: %s: tool %q has no result", s.name, name)
	}
	t := tool{name: name}
	for _, half := range []struct {
		text string
		to   *template
	}{{arguments, &t.arguments}, {result, &t.result}} {
		parsed, err := b.template(half.text, s)
		if err != nil {
			return tool{}, err
		}
		probe := ""
		for i, part := range parsed {
			if i%2 == 1 {
				part = "1" // stands both inside quotes and bare
			}
			probe += part
		}
		if !json.Valid([]byte(probe)) {
			return tool{}, fmt.Errorf("scenario: bank: %s: tool %s: %s is no JSON", s.name, name, half.text)
		}
		*half.to = parsed
	}
	return t, nil
}

// template parses text and makes sure that its slots are known.
func (b *bank) template(text string, s section) (template, error) {
	t := parseTemplate(text)
	for i := 1; i < len(t); i += 2 {
		_, own := s.slots[t[i]]
		_, common := b.slots[t[i]]
		if !own && !common {
			return nil, fmt.Errorf("scenario: bank: %s: unknown slot <%s> in %q", s.name, t[i], text)
		}
	}
	return t, nil
}

func (s section) only(list string) string {
	if len(s.lists[list]) == 0 {
		return ""
	}
	return s.lists[list][0]
}

func readSections(file string) (head section, topics []section, err error) {
	data, err := bankFiles.ReadFile(path.Join("bank", file))
	if err != nil {
		return section{}, nil, fmt.Errorf("scenario: read bank: %w", err)
	}
	empty := func(name string) section {
		return section{name: name, lists: map[string][]string{}, slots: map[string]slot{}}
	}
	head = empty(strings.TrimSuffix(file, ".txt"))
	for n, line := range strings.Split(string(data), "\n") {
		if line == "" {
			continue
		}
		keyword, text, ok := strings.Cut(line, " ")
		if !ok {
			return section{}, nil, fmt.Errorf("scenario: bank: %s:%d: no text after %q", file, n+1, keyword)
		}
		if keyword == "topic" {
			topics = append(topics, empty(text))
			continue
		}
		into := head
		if len(topics) > 0 {
			into = topics[len(topics)-1]
		}
		if keyword != "slot" {
			into.lists[keyword] = append(into.lists[keyword], text)
			continue
		}
		name, values, _ := strings.Cut(text, " = ")
		s, err := parseSlot(values)
		if err != nil {
			return section{}, nil, fmt.Errorf("scenario: bank: %s:%d: slot %s: %w", file, n+1, name, err)
		}
		into.slots[name] = s
	}
	return head, topics, nil
}

func parseSlot(text string) (slot, error) {
	switch {
	case strings.HasPrefix(text, "@"):
		return slot{prefix: text[1:]}, nil
	case strings.HasPrefix(text, "#"), strings.HasPrefix(text, "$"):
		lo, hi, _ := strings.Cut(text[1:], "-")
		s := slot{amount: text[0] == '$'}
		var err error
		if s.lo, err = strconv.Atoi(lo); err == nil {
			s.hi, err = strconv.Atoi(hi)
		}
		if err != nil || s.lo >= s.hi {
			return slot{}, fmt.Errorf("%q is no range", text)
		}
		return s, nil
	case text == "" || strings.ContainsAny(text, "\"\\"):
		// Quotes would break the JSON of tool arguments.
		return slot{}, fmt.Errorf("%q has no values or holds quotes", text)
	default:
		return slot{options: strings.Split(text, " | ")}, nil
	}
}
