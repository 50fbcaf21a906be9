// Package attack is the seed memory of known attacks: texts that show how prompts and documents try to turn a language
// model against its operator. They were written for this project, each after a technique that is described in public, which
// it names. A text shows the framing of an attack; none holds knowledge that does harm.
//
// In flow an embedder and a memory; out flow memos in the collections of purpose attack, which detectors compare to: kind
// user_prompt for what users write (jailbreaks, prompt leaks, misuse of tools), kind document for what arrives inside of
// retrieved documents and tool results (indirect injections).
//
// The package judges no text, and never removes memos that others have put beside its own.
package attack
