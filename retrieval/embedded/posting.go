package embedded

import "unique"

// postings lists the rows of each service, in no order, so that a search for those of one looks at no others.
type postings struct {
	rows  map[unique.Handle[string]][]int
	place []int // of row i in the list of its service
}

func newPostings() postings { return postings{rows: map[unique.Handle[string]][]int{}} }

// add lists a new row, the one behind the last.
func (p *postings) add(row int, service unique.Handle[string]) {
	p.place = append(p.place, 0)
	p.list(row, service)
}

func (p *postings) list(row int, service unique.Handle[string]) {
	p.place[row] = len(p.rows[service])
	p.rows[service] = append(p.rows[service], row)
}

// unlist takes a row out of the list of its service.
func (p *postings) unlist(row int, service unique.Handle[string]) {
	list := p.rows[service]
	end := len(list) - 1
	list[p.place[row]] = list[end]
	p.place[list[end]] = p.place[row]
	if p.rows[service] = list[:end]; end == 0 {
		delete(p.rows, service)
	}
}

// move gives the last row, which is listed, the number of one that is not.
func (p *postings) move(to, last int, service unique.Handle[string]) {
	if to != last {
		p.place[to] = p.place[last]
		p.rows[service][p.place[to]] = to
	}
	p.place = p.place[:last]
}
