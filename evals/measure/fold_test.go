package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFoldsKeepGroupsTogetherAndAreEven(t *testing.T) {
	groups := []string{"a", "b", "a", "c", "d", "e", "f", "b", "a"}
	fold := Folds(7, groups, 3)
	of := make(map[string]int)
	size := make([]int, 3)
	for i, g := range groups {
		if k, ok := of[g]; ok {
			require.Equal(t, k, fold[i], "group %s is torn apart", g)
			continue
		}
		of[g] = fold[i]
		size[fold[i]]++
	}
	require.Equal(t, []int{2, 2, 2}, size)
}

func TestFoldsDependOnTheSeedAndNotOnTheOrder(t *testing.T) {
	a := Folds(1, []string{"a", "b", "c", "d", "e", "f", "g", "h"}, 4)
	b := Folds(1, []string{"h", "g", "f", "e", "d", "c", "b", "a"}, 4)
	for i := range a {
		require.Equal(t, a[i], b[len(b)-1-i])
	}
	require.NotEqual(t, a, Folds(2, []string{"a", "b", "c", "d", "e", "f", "g", "h"}, 4))
	require.Empty(t, Folds(1, nil, 4))
}
