package statistical

import (
	"math"
	"slices"
)

// minPeers is how many peers are needed to tell what is usual among them.
const minPeers = 8

// PeerP tells whether one user's amount in a window is extreme among those of their peers, the others. p is the upper
// tail, by ranks in the body and by an exponential tail of the logarithm beyond (Hill, Annals of Statistics 1975), since
// what users consume follows power laws at worst; with few peers that tail is heavy. ratio is x over the peers' median.
//
// Peers that are not positive and finite are left out. With fewer than 8 left, or x not positive, p is 1; the ratio is
// 1 when it says nothing.
func PeerP(x float64, peers []float64) (p, ratio float64) {
	logs := make([]float64, 0, len(peers))
	for _, peer := range peers {
		if peer > 0 && !math.IsInf(peer, 1) {
			logs = append(logs, math.Log(peer))
		}
	}
	if len(logs) == 0 || !(x > 0) {
		return 1, 1
	}
	slices.Sort(logs)
	log := math.Log(min(x, math.MaxFloat64))
	median := (logs[(len(logs)-1)/2] + logs[len(logs)/2]) / 2
	ratio = math.Exp(log - median)
	if len(logs) < minPeers {
		return 1, ratio
	}
	return sortedUpperP(log, logs, 0.9, 2*minLogScale), ratio
}
