package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestDeadDeliveriesCanBeReadAndTriedAgain(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	page := decode[engine.Page[engine.Delivery]](t, send(s, "GET", "/api/v1/deliveries/dead?limit=2&cursor=c", ""), http.StatusOK)
	require.Equal(t, "next", page.Next)
	require.Equal(t, []string{"c 2"}, b.deadQueries)
	require.Len(t, page.Items, 1)
	require.Equal(t, "400", page.Items[0].Error)
	require.Nil(t, page.Items[0].Alert.Incident.Evidence)

	const target = "/api/v1/deliveries/al%2F1/pager%20duty/redeliver"
	response := decode[redeliverResponse](t, send(s, "POST", target, ""), http.StatusAccepted)
	require.Equal(t, redeliverResponse{AlertID: "al/1", Receiver: "pager duty", State: engine.DeliveryWaiting}, response)
	requireProblem(t, send(s, "POST", target, ""), http.StatusNotFound, "not_found")
	page = decode[engine.Page[engine.Delivery]](t, send(s, "GET", "/api/v1/deliveries/dead", ""), http.StatusOK)
	require.NotNil(t, page.Items)
}

func TestDeadDeliveriesAreForAdmins(t *testing.T) {
	b := newBackend()
	s := newServer(t, b, public)
	for _, scope := range []string{engine.ScopeRead, engine.ScopeIngest} {
		key := b.addKey(t, scope, scope)
		requireProblem(t, send(s, "GET", "/api/v1/deliveries/dead", "", "X-API-Key", key), http.StatusForbidden, "forbidden")
		requireProblem(t, send(s, "POST", "/api/v1/deliveries/a/b/redeliver", "", "X-API-Key", key), http.StatusForbidden, "forbidden")
	}
}

func TestWithoutReceiversThereAreNoDeliveries(t *testing.T) {
	s := newServer(t, newBackend(), func(_ *Config, d *Deps) { d.DeadLetters = nil })
	p := requireProblem(t, send(s, "GET", "/api/v1/deliveries/dead", ""), http.StatusNotFound, "not_found")
	require.Contains(t, p.Detail, "no receivers")
	requireProblem(t, send(s, "POST", "/api/v1/deliveries/a/b/redeliver", ""), http.StatusNotFound, "not_found")
}
