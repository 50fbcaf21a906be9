// Package response looks at what a model answered, without what it answered from.
//
// In flow complete traces as they came; out flow findings with a p-value against how often the same service has done the like.
//
//	Habit: refusals, truncation, repetition, language ─> model_regression  many answers that suddenly do it are a surge
//	Exposure: personal data and keys in an answer     ─> pii_exposure
//	Leak: the system prompt or a canary in an answer  ─> security_pattern  one is enough
//
// Each answer either does something or does not, so what is learnt is proportions. No text is kept, and none is shown: findings name the
// span.
package response
