package grounding

import "fmt"

// Config says how much history the detectors need and what they look at.
type Config struct {
	MinScores      int     `yaml:"min_scores"`      // calm answers, or retrievals, of a service that a p-value needs
	KeepScores     int     `yaml:"keep_scores"`     // calm scores kept, a service
	MaxServices    int     `yaml:"max_services"`    // services followed
	PassageWords   int     `yaml:"passage_words"`   // from this length on what a user typed is a passage to answer from
	MaxBytes       int     `yaml:"max_bytes"`       // of the passages of one answer, and of the answer; the rest is not read
	SupportDrop    float64 `yaml:"support_drop"`    // least fall of the supported share of an answer below the usual
	SimilarityDrop float64 `yaml:"similarity_drop"` // least fall of the similarity of query and best document below the usual
	Judge          bool    `yaml:"judge"`           // ask the language model about the answers that the signals do not settle
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{
		MinScores: 100, KeepScores: 512, MaxServices: 256, PassageWords: 80, MaxBytes: 128 << 10, SupportDrop: 0.15, SimilarityDrop: 0.15,
	}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.MinScores < 20 || c.KeepScores < c.MinScores || c.MaxServices < 1:
		return fmt.Errorf("grounding: min_scores must be at least 20, keep_scores at least min_scores, max_services positive: %+v", c)
	case c.PassageWords < 1 || c.MaxBytes < 1:
		return fmt.Errorf("grounding: passage_words and max_bytes must be positive: %+v", c)
	case !(c.SupportDrop >= 0 && c.SupportDrop < 1) || !(c.SimilarityDrop >= 0 && c.SimilarityDrop < 1):
		return fmt.Errorf("grounding: support_drop and similarity_drop must be in [0, 1): %+v", c)
	}
	return nil
}
