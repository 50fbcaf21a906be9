package scenario

// Assistant is what users ask one kind of assistant.
type Assistant struct {
	Name   string
	Topics []AskedTopic
}

// AskedTopic is a topic of an assistant with things that users of every tone ask about it first.
type AskedTopic struct {
	Name    string
	Prompts []string
}

// Asked lists what users ask each kind of assistant, without the traffic around it: n prompts a topic, some of which may be equal. It is a
// function of the seed.
func Asked(seed uint64, n int) ([]Assistant, error) {
	b, err := loadBank()
	if err != nil {
		return nil, err
	}
	s := &Scenario{bank: b}
	var out []Assistant
	for _, d := range b.domains {
		a := Assistant{Name: d.name}
		for _, t := range d.topics {
			asked := AskedTopic{Name: t.name}
			for i := range n {
				r := stream(seed, "asked/"+d.name+"/"+t.name, uint64(i))
				ses := &session{user: &user{tone: tone(r.IntN(int(tones)))}, topic: t, turns: 1, values: filling{}, r: r}
				asked.Prompts = append(asked.Prompts, s.write(ses).prompt)
			}
			a.Topics = append(a.Topics, asked)
		}
		out = append(out, a)
	}
	return out, nil
}
