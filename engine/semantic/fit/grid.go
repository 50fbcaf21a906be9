package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine/semantic"
)

// expand draws the texts of a grid. The head of prompts.grid says how one is written. The same grid gives the same texts.
func expand(r io.Reader) ([]semantic.Example, error) {
	g := grid{lists: make(map[string]string), random: rand.New(rand.NewPCG(1, 0))}
	var out []semantic.Example
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		line := in.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if name, alternatives, ok := strings.Cut(line, " = "); ok && !strings.ContainsAny(name, " {") {
			g.lists[name] = alternatives
			continue
		}
		head, template, ok := strings.Cut(line, " | ")
		fields := strings.Fields(head)
		if !ok || len(fields) != 3 || fields[0] != "+" && fields[0] != "-" {
			return nil, fmt.Errorf("line %d: want a list, or a sign, a number, a family and a template", n)
		}
		count, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for range count {
			text, err := g.render(template, 0)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			out = append(out, semantic.Example{Family: fields[2], Text: strings.TrimSpace(text), Attack: fields[0] == "+"})
		}
	}
	return out, in.Err()
}

type grid struct {
	lists  map[string]string
	random *rand.Rand
}

// maxDepth bounds lists that name lists.
const maxDepth = 20

// render draws one text of a template.
func (g *grid) render(template string, depth int) (string, error) {
	if depth > maxDepth {
		return "", fmt.Errorf("lists are nested too deeply in %q", template)
	}
	var out strings.Builder
	for i := 0; i < len(template); i++ {
		switch c := template[i]; c {
		case '\\':
			i++
			if i == len(template) {
				return "", fmt.Errorf("%q ends with a backslash", template)
			}
			if template[i] == 'n' {
				out.WriteByte('\n')
			} else {
				out.WriteByte(template[i])
			}
		case '{', '[':
			end := closing(template, i)
			if end < 0 {
				return "", fmt.Errorf("%q is not closed", template[i:])
			}
			inner := template[i+1 : end]
			i = end
			if c == '[' {
				if g.random.IntN(2) == 0 {
					continue
				}
			} else if list, ok := g.lists[inner]; ok {
				inner = list
			}
			if c == '{' {
				choices := split(inner)
				inner = choices[g.random.IntN(len(choices))]
			}
			text, err := g.render(inner, depth+1)
			if err != nil {
				return "", err
			}
			out.WriteString(text)
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), nil
}

// closing is where the bracket at start is closed, -1 for nowhere.
func closing(s string, start int) int {
	depth := 0
	for i := start; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// split cuts alternatives apart, not those inside of brackets.
func split(s string) []string {
	var out []string
	depth, last := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, s[last:i])
				last = i + 1
			}
		}
	}
	return append(out, s[last:])
}
