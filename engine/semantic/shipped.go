package semantic

import (
	_ "embed"
	"sync"
)

//go:generate go run ./fit -attacks ../../retrieval/attack/attacks.jsonl -out .

//go:embed jailbreak.weights
var jailbreakWeights []byte

//go:embed injection.weights
var injectionWeights []byte

// The weights that ship are read once.
var (
	shippedJailbreak = sync.OnceValues(func() (*weights, error) { return readWeights(jailbreakWeights) })
	shippedInjection = sync.OnceValues(func() (*weights, error) { return readWeights(injectionWeights) })
)
