package builtin

import "bytes"

// trie finds the longest known prefix of a word. Nodes are numbered level by level, so that the children of a node are
// neighbours: those of node n are the nodes from first[n] up to first[n+1], and labels has the byte that leads to each.
type trie struct {
	first  []int32
	labels []byte
	values []int32 // none where no key ends
}

const (
	root = 0
	none = -1
)

// newTrie builds the trie of sorted, distinct keys and their values.
func newTrie(keys []string, values []int32) *trie {
	t := &trie{labels: []byte{0}, values: []int32{none}}
	type span struct{ lo, hi, depth int } // keys[lo:hi] share their first depth bytes and lie under one node
	queue := []span{{0, len(keys), 0}}
	for n := 0; n < len(queue); n++ {
		s := queue[n]
		t.first = append(t.first, int32(len(queue)))
		if s.lo < s.hi && len(keys[s.lo]) == s.depth {
			t.values[n] = values[s.lo]
			s.lo++
		}
		for lo := s.lo; lo < s.hi; {
			label := keys[lo][s.depth]
			hi := lo + 1
			for hi < s.hi && keys[hi][s.depth] == label {
				hi++
			}
			t.labels = append(t.labels, label)
			t.values = append(t.values, none)
			queue = append(queue, span{lo, hi, s.depth + 1})
			lo = hi
		}
	}
	t.first = append(t.first, int32(len(queue)))
	return t
}

// child returns the node to which b leads from node.
func (t *trie) child(node int32, b byte) (int32, bool) {
	first := t.first[node]
	i := bytes.IndexByte(t.labels[first:t.first[node+1]], b)
	return first + int32(i), i >= 0
}

// longest returns the value of the longest key that word continues with from node on, and how many bytes of word it takes:
// 0 when there is none.
func (t *trie) longest(node int32, word []byte) (value int32, length int) {
	for i, b := range word {
		next, ok := t.child(node, b)
		if !ok {
			break
		}
		node = next
		if v := t.values[node]; v != none {
			value, length = v, i+1
		}
	}
	return value, length
}
