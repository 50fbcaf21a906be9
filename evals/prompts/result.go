package prompts

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// result measures everything.
func (b *board) result(seed uint64) evals.Result {
	r := evals.NewResult("prompts")
	for _, f := range figures {
		if m, why := b.metric(f, seed); why != "" {
			r.Unavailable[f.name] = why
		} else {
			r.Metrics[f.name] = m
		}
	}
	r.Notes = b.notes()
	for _, c := range []evals.Chart{
		b.roc("Jailbreaks against all benign prompts", kindUser, jailbreaks, benignPrompts, servedJailbreak, servedNovelty, shippedJailbreak),
		b.roc("Jailbreaks against the long and commanding benign prompts", kindUser, jailbreaks, hardPrompts, servedJailbreak, servedNovelty, shippedJailbreak),
		b.roc("Injected documents against benign documents", kindDocument, injections, benignDocuments, servedInjection, servedNovelty, shippedInjection),
	} {
		if len(c.Curves) > 0 {
			r.Charts = append(r.Charts, c)
		}
	}
	r.Confusions = b.confusions()
	r.Tables = []evals.Table{b.baselineTable(), b.overDefenceTable(), b.familyTable(), b.rateTable()}
	return r
}

func (b *board) notes() []string {
	notes := []string{
		"Of an injected document only the line that was put into it is taught as an attack; where its place is not labelled it is not taught.",
		"What ships is judged by its raw scores, having learnt nothing of the data.",
	}
	if b.frozen != nil {
		return append(notes,
			"Frozen: rates above a threshold use the threshold that cross-validation found where the model was fitted, baselines too. "+
				"The table of rates has the false positive rate that it comes to here and the rate at this data's own 1 % threshold.")
	}
	return append(notes, fmt.Sprintf("Cross-validated in %d folds: whole clusters of jailbreaks and whole families of injections are left out, "+
		"benign texts are left out one by one. Thresholds are those of the pooled scores.", folds))
}

// roc draws systems that say something of a kind, and the baselines.
func (b *board) roc(title, kind string, target, benign func(text) bool, systems ...system) evals.Chart {
	c := evals.Chart{Title: title, X: "false positive rate", Y: "true positive rate"}
	cases := b.where(func(t text) bool { return target(t) || benign(t) })
	positive := b.flags(target)
	for _, s := range slices.Concat(systems, baselines) {
		if b.silent[s][kind] {
			continue
		}
		if curve := measure.ROC(string(s), b.columns[s], positive, cases); len(curve.X) > 0 {
			c.Curves = append(c.Curves, curve)
		}
	}
	return c
}

// confusions count what is said of each family at the thresholds, and which known attacks the attacks of each family resemble.
func (b *board) confusions() []evals.Confusion {
	said := evals.Confusion{Title: "Said to be an attack at the 1 % threshold", Columns: []string{"passed", "attack"}}
	var out []evals.Confusion
	cuts := b.cuts()
	for _, c := range []struct {
		kind  string
		about engine.AnomalyType
	}{{kindUser, engine.Jailbreak}, {kindDocument, engine.PromptInjection}} {
		of := system(c.about)
		cut, ok := cuts[thresholdKey(of, c.kind)]
		if b.silent[of][c.kind] || !ok {
			continue
		}
		for _, family := range b.families(func(t text) bool { return t.Kind == c.kind }) {
			for _, label := range []string{labelBenign, labelJailbreak, labelInjection} {
				row := make([]int, 2)
				for _, i := range b.where(func(t text) bool { return t.Kind == c.kind && t.Family == family && t.Label == label }) {
					if b.columns[of][i] > cut {
						row[1]++
					} else {
						row[0]++
					}
				}
				if row[0]+row[1] > 0 {
					said.Rows = append(said.Rows, family+" ("+label+")")
					said.Counts = append(said.Counts, row)
				}
			}
		}
		if likeness := b.likeness(c.kind, c.about); len(likeness.Columns) > 0 {
			out = append(out, likeness)
		}
	}
	if len(said.Rows) > 0 {
		out = slices.Insert(out, 0, said)
	}
	return out
}

// likeness counts which known family the attacks of each family resemble most. What is known is never of their own cluster or family,
// unless the model was fitted on other data that has it too.
func (b *board) likeness(kind string, about engine.AnomalyType) evals.Confusion {
	like := func(i int) string { return b.served[i][about].Like }
	attacks := func(t text) bool { return t.Kind == kind && t.attack() }
	c := evals.Confusion{Title: "The known attack that " + string(about) + " compares each attack to", Rows: b.families(attacks)}
	for _, i := range b.where(attacks) {
		if like(i) != "" {
			c.Columns = append(c.Columns, like(i))
		}
	}
	slices.Sort(c.Columns)
	c.Columns = slices.Compact(c.Columns)
	c.Counts = make([][]int, len(c.Rows))
	for k := range c.Rows {
		c.Counts[k] = make([]int, len(c.Columns))
	}
	for _, i := range b.where(attacks) {
		if column, ok := slices.BinarySearch(c.Columns, like(i)); ok {
			row, _ := slices.BinarySearch(c.Rows, b.texts[i].Family)
			c.Counts[row][column]++
		}
	}
	return c
}

// baselineTable has the baselines of every metric, measured or not.
func (b *board) baselineTable() evals.Table {
	t := evals.Table{Title: "What has to be beaten", Columns: []string{"metric", string(byLength), string(byKeywords)}}
	for _, f := range figures {
		s := b.sample(f)
		row := []string{f.name}
		for _, base := range baselines {
			row = append(row, digits(b.statistic(f, s, base)(s.all)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// overDefenceTable has the two parts of what over_defence.fpr is about.
func (b *board) overDefenceTable() evals.Table {
	systems := slices.Concat([]system{servedJailbreak}, baselines)
	t := evals.Table{Title: "Benign prompts in the attackers' words above the 1 % threshold", Columns: []string{"prompts", "texts"}}
	for _, s := range systems {
		t.Columns = append(t.Columns, string(s))
	}
	cuts := b.cuts()
	for _, part := range []struct {
		name string
		of   func(text) bool
	}{
		{"gpt-instructions and role-play of the data", hardPrompts},
		{"the over-defence list", func(t text) bool { return t.Listed }},
	} {
		members := b.where(part.of)
		row := []string{part.name, strconv.Itoa(len(members))}
		for _, s := range systems {
			share := math.NaN()
			if cut, ok := cuts[thresholdKey(s, kindUser)]; ok && !b.silent[s][kindUser] {
				share = measure.RateAbove(b.columns[s], b.flags(part.of), members, cut)
			}
			row = append(row, digits(share))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// familyTable has every label and family: AUROC of attacks against the benign texts of their kind, and the share above the threshold.
func (b *board) familyTable() evals.Table {
	t := evals.Table{
		Title: "By label and family (AUROC against all benign texts of the kind)",
		Columns: []string{
			"kind", "label", "family", "texts", "above the 1 % threshold", "AUROC", "AUROC of novelty", "AUROC of what ships", "AUROC of length",
			"AUROC of keywords",
		},
	}
	cuts := b.cuts()
	for _, kind := range []string{kindUser, kindDocument} {
		served, shipped := servedJailbreak, shippedJailbreak
		if kind == kindDocument {
			served, shipped = servedInjection, shippedInjection
		}
		benign := func(t text) bool { return t.Kind == kind && t.Label == labelBenign && !t.Listed }
		for _, label := range []string{labelJailbreak, labelInjection, labelBenign} {
			of := func(t text) bool { return t.Kind == kind && t.Label == label }
			for _, family := range b.families(of) {
				in := func(t text) bool { return of(t) && t.Family == family }
				members := b.where(in)
				above := "–"
				if cut, ok := cuts[thresholdKey(served, kind)]; ok && !b.silent[served][kind] {
					above = digits(measure.RateAbove(b.columns[served], b.flags(in), members, cut))
				}
				row := []string{kind, label, family, strconv.Itoa(len(members)), above}
				for _, s := range []system{served, servedNovelty, shipped, byLength, byKeywords} {
					auroc := "–"
					if label != labelBenign && !b.silent[s][kind] {
						auroc = digits(measure.AUROC(b.columns[s], b.flags(in), b.where(func(t text) bool { return in(t) || benign(t) })))
					}
					row = append(row, auroc)
				}
				t.Rows = append(t.Rows, row)
			}
		}
	}
	return t
}

// rateTable has what the thresholds come to.
func (b *board) rateTable() evals.Table {
	t := evals.Table{
		Title:   "Rates at the 1 % threshold",
		Columns: []string{"kind", "system", "threshold", "false positive rate", "true positive rate", "true positive rate at this data's own threshold"},
	}
	cuts, own := b.cuts(), b.thresholds()
	for _, kind := range []string{kindUser, kindDocument} {
		systems := []system{servedJailbreak, servedNovelty, shippedJailbreak}
		if kind == kindDocument {
			systems = []system{servedInjection, servedNovelty, shippedInjection}
		}
		attacks := func(t text) bool { return t.Kind == kind && t.attack() }
		benign := func(t text) bool { return t.Kind == kind && !t.attack() && !t.Listed }
		rate := func(s system, of func(text) bool, cut float64) string {
			return digits(measure.RateAbove(b.columns[s], b.flags(of), b.where(of), cut))
		}
		for _, s := range slices.Concat(systems, baselines) {
			key := thresholdKey(s, kind)
			cut, ok := cuts[key]
			if b.silent[s][kind] || !ok {
				continue
			}
			t.Rows = append(t.Rows, []string{kind, string(s), fmt.Sprintf("%.4g", cut), rate(s, benign, cut), rate(s, attacks, cut), rate(s, attacks, own[key])})
		}
	}
	return t
}

// digits renders a proportion.
func digits(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
