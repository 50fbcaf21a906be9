package scenario

import (
	"math/rand/v2"
	"time"
)

// session is one conversation of a user with a service: a few turns, each of which is one run.
type session struct {
	service      *service
	region       string
	user         *user
	agent        agent
	model        *model
	conversation string
	topic        *topic
	questions    []template // of the topic, still to be asked
	values       filling
	history      []message
	turns        int // still to come
	purpose      purpose

	r       *rand.Rand // what happens anyway
	effects *rand.Rand // what incidents do, apart so that r is the same without them
}

// purpose is what the user is up to.
type purpose int

const (
	working   purpose = iota
	wandering         // asks about the novel topic
	attacking         // sends attack prompts
	flooding          // sends far too much
)

const (
	mainAgentShare = 0.8
	newUserShare   = 0.04 // of conversations
	remembered     = 4    // messages of earlier turns that are sent again
)

func (s *Scenario) newSession(svc *service, part string, number uint64, u *user) *session {
	r := stream(s.cfg.Seed, part+"/"+svc.name, number)
	ses := &session{
		service:      svc,
		region:       pick(r, svc.regions),
		user:         u,
		agent:        svc.agents[1],
		model:        svc.primary,
		conversation: "conv-" + hex(r, 12),
		topic:        svc.topics[svc.topicMix.draw(r)],
		values:       filling{},
		turns:        turns(r),
		r:            r,
		effects:      stream(s.cfg.Seed, "effects/"+part+"/"+svc.name, number),
	}
	if chance(r, mainAgentShare) {
		ses.agent = svc.agents[0]
	}
	if chance(r, svc.otherModel) {
		ses.model = svc.secondary
	}
	if u == nil {
		ses.user = svc.users[svc.userMix.draw(r)]
		if chance(r, newUserShare) {
			ses.user = s.world.newUser(r)
		}
	}
	return ses
}

// turns draws the length of a conversation; its mean is turnsPerConversation.
func turns(r *rand.Rand) int {
	switch x := r.Float64(); {
	case x < 0.48:
		return 1
	case x < 0.76:
		return 2
	case x < 0.90:
		return 3
	default:
		return 4 + r.IntN(2)
	}
}

// converse begins a conversation that somebody has in the normal course of things.
func (s *Scenario) converse(svc *service, number uint64, at time.Time) {
	ses := s.newSession(svc, "session", number, nil)
	if number < uint64(len(svc.topics)) {
		ses.topic = svc.topics[number] // each topic is seen early
	}
	if n := s.plan.novelty; svc == n.service && n.holds(at) && chance(ses.effects, n.share) {
		ses.topic, ses.purpose = n.topic, wandering
	}
	s.turn(ses, at)
}

// turn runs one turn and schedules the next.
func (s *Scenario) turn(ses *session, at time.Time) {
	if !at.Before(s.cfg.end()) || ses.purpose == wandering && !s.plan.novelty.holds(at) {
		return
	}
	answered := s.run(ses, at)
	ses.turns--
	if ses.turns > 0 {
		think := time.Duration(lognormal(ses.r, 35, 0.6) * float64(time.Second))
		s.schedule(answered.Add(think), func(at time.Time) { s.turn(ses, at) })
	}
}

// nextQuestion repeats itself only when the topic has been asked to the end.
func (ses *session) nextQuestion() template {
	if len(ses.questions) == 0 {
		ses.questions = sample(ses.r, ses.topic.questions, len(ses.topic.questions))
	}
	q := ses.questions[0]
	ses.questions = ses.questions[1:]
	return q
}

// remember keeps the last messages for the next turn.
func (ses *session) remember(m ...message) {
	ses.history = append(ses.history, m...)
	if n := len(ses.history) - remembered; n > 0 {
		ses.history = append([]message(nil), ses.history[n:]...)
	}
}
